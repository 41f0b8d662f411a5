// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_map/snapshot_file.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "vmm/base/file.hpp"
#include "vmm/machine/report_file/json_syntax.hpp"

namespace gpuvm {
namespace {

/// Not the ordered one, which looks for each key among all that came before.
using Json = nlohmann::json;

constexpr const char* kVersionKey = "gpuvm_host";
constexpr const char* kLinkKey = "->";
constexpr const char* kBytesWord = "bytes";
constexpr std::size_t kLongestName = 255;
constexpr std::size_t kLongestLink = 4096;
constexpr std::size_t kLongestText = std::size_t{4} << 20;
constexpr std::size_t kMostBytes = std::size_t{64} << 10;
constexpr std::size_t kMostNodes = 200'000;
constexpr std::size_t kMostRemarks = 100;
constexpr std::size_t kLongestRemark = 4000;
/// Deeper folders are in one line.
constexpr unsigned kWideDepth = 6;

// Writing.

std::string hex_of(const std::vector<std::byte>& bytes) {
  auto end = bytes.size();
  while (end > 0 && bytes[end - 1] == std::byte{0}) {
    --end;
  }
  std::string text;
  for (std::size_t i = 0; i < end; ++i) {
    text += fmt::format("{:02x}", std::to_integer<unsigned>(bytes[i]));
  }
  return text;
}

Json json_of(const CopyNode& node) {
  if (node.text) {
    return *node.text;
  }
  if (node.bytes) {
    return Json::array({kBytesWord, node.bytes->size(), hex_of(*node.bytes)});
  }
  Json folder = Json::object();
  if (node.link) {
    folder[kLinkKey] = *node.link;
  }
  for (const auto& [name, child] : node.children) {
    folder[name] = json_of(child);
  }
  return folder;
}

/// Attributes of the kernel are bytes of any kind.
std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void write_wide(const Json& json, unsigned depth, std::string& out) {
  if (!json.is_object() || json.empty() || depth >= kWideDepth) {
    out += line_of(json);
    return;
  }
  const std::string indent(depth + 1, ' ');
  out += "{\n";
  bool is_first = true;
  for (const auto& [key, value] : json.items()) {
    out += fmt::format("{}{}{}: ", is_first ? "" : ",\n", indent, line_of(Json(key)));
    write_wide(value, depth + 1, out);
    is_first = false;
  }
  out += fmt::format("\n{}}}", std::string(depth, ' '));
}

// Reading.

bool is_good_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), [](char c) {
           const auto code = static_cast<unsigned char>(c);
           return c == '/' || code < 0x20 || code == 0x7f;
         });
}

std::string shown(std::string_view text) {
  std::string out(text.substr(0, 80));
  for (char& c : out) {
    c = c >= ' ' && c <= '~' ? c : '?';
  }
  return out;
}

std::optional<unsigned> hex_digit(char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto at = kDigits.find(c);
  return at == std::string_view::npos ? std::nullopt : std::optional(static_cast<unsigned>(at));
}

class TreeReader {
 public:
  Result<CopyNode> folder(const Json& json, const std::string& path) {
    if (!json.is_object()) {
      return fail(ErrorKind::kConfig, "{} must be a folder, an object",
                  path.empty() ? "root" : shown(path));
    }
    CopyNode node;
    for (const auto& [name, value] : json.items()) {
      if (name == kLinkKey) {
        node.link = TRY(link(value, path));
        continue;
      }
      if (!is_good_name(name)) {
        return fail(ErrorKind::kConfig, "{} has \"{}\", which is no name of a file", shown(path),
                    shown(name));
      }
      auto child = TRY(this->node(value, path + "/" + name));
      node.children.emplace(name, std::move(child));
    }
    return node;
  }

 private:
  Result<CopyNode> node(const Json& json, const std::string& path) {
    if (++nodes_ > kMostNodes) {
      return fail(ErrorKind::kConfig, "There are more than {} files", kMostNodes);
    }
    CopyNode node;
    if (json.is_string()) {
      node.text = TRY(text(json, path, kLongestText));
      return node;
    }
    if (json.is_array()) {
      node.bytes = TRY(bytes(json, path));
      return node;
    }
    return folder(json, path);
  }

  static Result<std::string> text(const Json& json, const std::string& path, std::size_t most) {
    const auto& text = json.get_ref<const std::string&>();
    if (text.size() > most || text.find('\0') != std::string::npos) {
      return fail(ErrorKind::kConfig, "{} must be a text of at most {} characters", shown(path),
                  most);
    }
    return text;
  }

  static Result<std::string> link(const Json& json, const std::string& path) {
    if (!json.is_string()) {
      return fail(ErrorKind::kConfig, "{}: \"{}\" must be a text", shown(path), kLinkKey);
    }
    return text(json, path + "/" + kLinkKey, kLongestLink);
  }

  static Result<std::vector<std::byte>> bytes(const Json& json, const std::string& path) {
    const auto wrong = [&path] {
      return fail(ErrorKind::kConfig,
                  "{} must be [\"{}\", SIZE, \"HEX\"] with at most {} bytes and two hexadecimal "
                  "digits for each",
                  shown(path), kBytesWord, kMostBytes);
    };
    if (json.size() != 3 || !json[0].is_string() || json[0] != kBytesWord ||
        !json[1].is_number_unsigned() || !json[2].is_string()) {
      return wrong();
    }
    const auto size = json[1].get<std::uint64_t>();
    const auto& hex = json[2].get_ref<const std::string&>();
    if (size > kMostBytes || hex.size() % 2 != 0 || hex.size() / 2 > size) {
      return wrong();
    }
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < hex.size(); i += 2) {
      const auto high = hex_digit(hex[i]);
      const auto low = hex_digit(hex[i + 1]);
      if (!high || !low) {
        return wrong();
      }
      bytes[i / 2] = static_cast<std::byte>(*high << 4 | *low);
    }
    return bytes;
  }

  std::size_t nodes_ = 0;
};

Result<std::vector<std::string>> remarks_of(const Json& document) {
  std::vector<std::string> remarks;
  const auto found = document.find("remarks");
  if (found == document.end()) {
    return remarks;
  }
  const auto is_good = [](const Json& remark) {
    return remark.is_string() && remark.get_ref<const std::string&>().size() <= kLongestRemark;
  };
  if (!found->is_array() || found->size() > kMostRemarks ||
      !std::all_of(found->begin(), found->end(), is_good)) {
    return fail(ErrorKind::kConfig, "remarks must be at most {} texts of at most {} characters",
                kMostRemarks, kLongestRemark);
  }
  for (const auto& remark : *found) {
    remarks.push_back(remark.get<std::string>());
  }
  return remarks;
}

}  // namespace

std::string to_snapshot_text(const HostCopy& host, std::string_view gpuvm_version) {
  Json document = Json::object();
  document[kVersionKey] = kSnapshotVersion;
  document["gpuvm"] = gpuvm_version;
  document["remarks"] = host.remarks();
  document["root"] = json_of(host.tree());
  std::string text;
  write_wide(document, 0, text);
  return text + "\n";
}

Result<HostCopy> parse_snapshot(std::string_view text) {
  if (text.size() > kMostSnapshotBytes) {
    return fail(ErrorKind::kConfig, "It has more than {} MiB", kMostSnapshotBytes >> 20);
  }
  TRY(check_json_syntax(text));
  const auto document = Json::parse(text, nullptr, false);
  if (!document.is_object() || !document.contains(kVersionKey) || !document.contains("root")) {
    return fail(ErrorKind::kConfig,
                "It is no saved host (gpuvm devices --save FILE makes one): \"{}\" or \"root\" is "
                "not there",
                kVersionKey);
  }
  if (document[kVersionKey] != kSnapshotVersion) {
    return fail(ErrorKind::kConfig, "It is a saved host of another gpuvm: {} is not {}",
                kVersionKey, kSnapshotVersion);
  }
  auto remarks = TRY(remarks_of(document));
  auto tree = TRY(TreeReader().folder(document["root"], ""));
  return HostCopy(std::move(tree), std::move(remarks));
}

Result<HostCopy> load_snapshot(const std::string& path) {
  const auto bytes = TRY(read_file(path, kMostSnapshotBytes, ErrorKind::kConfig));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return TRY_CONTEXT(parse_snapshot(text), path);
}

}  // namespace gpuvm
