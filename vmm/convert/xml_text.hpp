// SPDX-License-Identifier: Apache-2.0
// Internal to this room: XML with the lines of its elements, within limits. Document types are
// refused, and entities other than XML's five stay as they are: nothing is read from elsewhere, and
// nothing grows.
#pragma once

#include <pugixml.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm::convert {

class XmlText {
 public:
  /// Errors: kConfig with LABEL:LINE:COLUMN.
  static Result<XmlText> parse(std::string_view text, const std::string& label);

  pugi::xml_node root() const { return document_; }
  /// Counted from 1.
  std::size_t line_of(pugi::xml_node node) const;
  /// "LABEL:LINE:COLUMN".
  std::string place_of(std::size_t offset) const;

 private:
  XmlText() = default;
  std::string label_ = {};
  pugi::xml_document document_ = {};
  std::vector<std::size_t> line_starts_ = {0};
};

}  // namespace gpuvm::convert
