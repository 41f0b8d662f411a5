// SPDX-License-Identifier: Apache-2.0
#include "vmm/first_boot/credentials.hpp"

#include <algorithm>
#include <cstdint>

namespace gpuvm {
namespace {

/// What no tool on the way could change: spaces at an end are not among it.
bool is_plain(std::string_view value) {
  const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
  return !value.empty() && value.front() != ' ' && value.back() != ' ' &&
         std::all_of(value.begin(), value.end(), is_printable);
}

}  // namespace

std::string to_base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  constexpr std::size_t kGroup = 3;
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += kGroup) {
    const auto part = bytes.substr(i, kGroup);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < kGroup; ++k) {
      group = group << 8 | (k < part.size() ? static_cast<unsigned char>(part[k]) : 0U);
    }
    for (std::size_t k = 0; k <= kGroup; ++k) {
      out += k <= part.size() ? kDigits[group >> (18 - 6 * k) & 0x3f] : '=';
    }
  }
  return out;
}

std::string credential_string(const Credential& credential) {
  const bool plain = is_plain(credential.value);
  return fmt::format("io.systemd.credential{}:{}={}", plain ? "" : ".binary", credential.name,
                     plain ? credential.value : to_base64(credential.value));
}

Result<std::vector<std::string>> credential_strings(const std::vector<Credential>& credentials) {
  std::vector<std::string> strings;
  std::size_t total = 0;
  for (const Credential& credential : credentials) {
    strings.push_back(credential_string(credential));
    total += strings.back().size();
  }
  if (total > kMostCredentialBytes) {
    const auto largest = std::max_element(
        credentials.begin(), credentials.end(),
        [](const auto& one, const auto& other) { return one.value.size() < other.value.size(); });
    return fail(ErrorKind::kConfig,
                "credentials: they are {} bytes in SMBIOS, and {} is the largest: at most {} are "
                "accepted; hand large things over by [cloud_init] or a disk",
                total, largest->name, kMostCredentialBytes);
  }
  return strings;
}

}  // namespace gpuvm
