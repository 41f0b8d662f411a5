// SPDX-License-Identifier: Apache-2.0
// [vsock] and [[share]]: what host and guest have in common besides networks and disks. Whether the
// host has vhost-vsock, the folder and virtiofsd is known by the rooms that use them.
#include <algorithm>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kMostShares = 8;   ///< functions of the device that they are
constexpr std::size_t kLongestTag = 36;  ///< VIRTIO 1.2, 5.11.4
constexpr std::int64_t kLeastCid = 3;    ///< below: the hypervisor, local, the host
constexpr std::int64_t kMostCid = 0xfffffffe;
constexpr std::string_view kTagRule =
    "1 to 36 characters out of a to z, A to Z, 0 to 9, \"-\", \"_\" and \".\": what the guest "
    "mounts";

/// What a command line and /etc/fstab of the guest take as it is.
bool is_tag(std::string_view tag) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !tag.empty() && tag.size() <= kLongestTag &&
         std::all_of(tag.begin(), tag.end(), is_allowed);
}

Result<ShareConfig> read_share(TableReader entry) {
  ShareConfig share;
  share.place.text = entry.own_place();
  share.path = TRY(entry.optional_path("path")).value_or("");
  share.tag = TRY(entry.optional_string("tag", kTagRule)).value_or("");
  share.read_only = TRY(entry.boolean("readonly", share.read_only));
  TRY(entry.finish());
  if (share.path.empty()) {
    return entry.wrong("path", "is missing: name a folder of this host");
  }
  if (!entry.has("tag")) {
    return entry.wrong("tag", fmt::format("is missing: it is {}", kTagRule));
  }
  if (!is_tag(share.tag)) {
    return entry.must_be("tag", kTagRule, '"' + printable(share.tag) + '"');
  }
  return share;
}

}  // namespace

Result<std::optional<VsockConfig>> read_vsock(TableReader table, bool is_there) {
  VsockConfig vsock;
  vsock.place.text = table.own_place();
  if (table.holds_string("cid")) {
    const auto word = TRY(table.optional_string("cid")).value_or("");
    if (word != "auto") {
      return table.must_be("cid",
                           fmt::format("\"auto\" or a number from {} to {}", kLeastCid, kMostCid),
                           '"' + printable(word) + '"');
    }
  } else if (const auto cid =
                 TRY(table.optional_integer("cid", {.least = kLeastCid, .most = kMostCid}))) {
    vsock.cid = static_cast<std::uint32_t>(*cid);
  }
  TRY(table.finish());
  return is_there ? std::optional(vsock) : std::nullopt;
}

Result<std::vector<ShareConfig>> read_shares(const std::vector<TableReader>& entries) {
  std::vector<ShareConfig> all;
  for (const auto& entry : entries) {
    if (all.size() == kMostShares) {
      return entry.wrong(
          "path", fmt::format("is in one section too many: at most {} [[share]] are accepted",
                              kMostShares));
    }
    auto share = TRY(read_share(entry));
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].tag == share.tag) {
        return entry.wrong("tag", fmt::format("is that of share.{} already: take another one", i));
      }
    }
    all.push_back(std::move(share));
  }
  return all;
}

}  // namespace gpuvm::config
