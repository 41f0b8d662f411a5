// SPDX-License-Identifier: Apache-2.0
#include "vmm/convert/xml_text.hpp"

#include <algorithm>

namespace gpuvm::convert {
namespace {

constexpr int kMostElementDepth = 32;  ///< libvirt's own is about ten

struct DepthCheck : pugi::xml_tree_walker {
  bool for_each(pugi::xml_node& node) override {
    if (depth() >= kMostElementDepth || node.type() == pugi::node_doctype) {
      culprit = node;
      return false;
    }
    return true;
  }
  pugi::xml_node culprit = {};
};

}  // namespace

Result<XmlText> XmlText::parse(std::string_view text, const std::string& label) {
  XmlText xml;
  xml.label_ = label;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') {
      xml.line_starts_.push_back(i + 1);
    }
  }
  // A fragment may have several elements and text beside them.
  const auto outcome = xml.document_.load_buffer(
      text.data(), text.size(), pugi::parse_default | pugi::parse_doctype | pugi::parse_fragment,
      pugi::encoding_utf8);
  if (!outcome) {
    return fail(ErrorKind::kConfig, "{}: this is no XML: {}; give what virsh dumpxml prints",
                xml.place_of(static_cast<std::size_t>(std::max<std::ptrdiff_t>(outcome.offset, 0))),
                outcome.description());
  }
  DepthCheck check;
  if (!xml.document_.traverse(check)) {
    const bool is_type = check.culprit.type() == pugi::node_doctype;
    return fail(ErrorKind::kConfig, "{}: {}",
                xml.place_of(static_cast<std::size_t>(
                    std::max<std::ptrdiff_t>(check.culprit.offset_debug(), 0))),
                is_type ? "a domain has no document type: remove <!DOCTYPE …>"
                        : "elements are too deep in each other for a domain");
  }
  return xml;
}

std::size_t XmlText::line_of(pugi::xml_node node) const {
  const auto offset = static_cast<std::size_t>(std::max<std::ptrdiff_t>(node.offset_debug(), 0));
  const auto after = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  return static_cast<std::size_t>(after - line_starts_.begin());
}

std::string XmlText::place_of(std::size_t offset) const {
  const auto after = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const auto line = static_cast<std::size_t>(after - line_starts_.begin());
  return fmt::format("{}:{}:{}", label_, line, offset - line_starts_[line - 1] + 1);
}

}  // namespace gpuvm::convert
