// SPDX-License-Identifier: Apache-2.0
#include "vmm/first_boot/yaml.hpp"

#include <yaml.h>

#include <algorithm>
#include <memory>

namespace gpuvm {
namespace {

constexpr std::size_t kMostDepth = 100;

/// A libyaml parser over a text that outlives it.
class YamlParser {
 public:
  explicit YamlParser(std::string_view text) : text_(text) {
    is_ready_ = yaml_parser_initialize(&parser_) == 1;
    if (is_ready_) {
      yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                   text.size());
    }
  }
  ~YamlParser() {
    if (is_ready_) {
      yaml_parser_delete(&parser_);
    }
  }
  YamlParser(const YamlParser&) = delete;
  YamlParser& operator=(const YamlParser&) = delete;

  /// Errors: kConfig: one that is nested too deep. libyaml's time goes by the square of the depth.
  /// What else is wrong, next() tells.
  Status check_depth(const std::string& label) {
    yaml_event_t event;
    std::size_t depth = 0;
    bool goes_on = is_ready_;
    while (goes_on && yaml_parser_parse(&parser_, &event) == 1) {
      const auto type = event.type;
      yaml_event_delete(&event);
      depth += type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT ? 1 : 0;
      depth -= type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT ? 1 : 0;
      if (depth > kMostDepth) {
        return fail(ErrorKind::kConfig, "{}:{}: there is something in more than {} levels", label,
                    line(), kMostDepth);
      }
      goes_on = type != YAML_STREAM_END_EVENT;
    }
    return {};
  }

  /// The root of the next document. Errors: kConfig.
  Result<YamlRoot> next(const std::string& label) {
    yaml_document_t document;
    if (!is_ready_ || yaml_parser_load(&parser_, &document) != 1) {
      return problem(label);
    }
    const yaml_node_t* const root = yaml_document_get_root_node(&document);
    const auto kind = root == nullptr                   ? YamlRoot::kNothing
                      : root->type == YAML_MAPPING_NODE ? YamlRoot::kMapping
                      : is_null(*root)                  ? YamlRoot::kNothing
                                                        : YamlRoot::kOther;
    has_document_ = root != nullptr;
    yaml_document_delete(&document);
    return kind;
  }
  /// Whether next() found a document, if only an empty one.
  bool has_document() const { return has_document_; }
  std::size_t line() const { return parser_.mark.line + 1; }

 private:
  static bool is_null(const yaml_node_t& node) {
    return node.type == YAML_SCALAR_NODE && node.data.scalar.length == 0 &&
           node.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  }

  Error problem(const std::string& label) const {
    const char* const what = parser_.problem != nullptr ? parser_.problem : "not enough memory";
    if (parser_.error == YAML_READER_ERROR) {  // which has an offset alone
      const auto before = text_.substr(0, parser_.problem_offset);
      return fail(ErrorKind::kConfig, "{}:{}: {}", label,
                  1 + std::count(before.begin(), before.end(), '\n'), what);
    }
    const std::string context = parser_.context != nullptr
                                    ? fmt::format(", {} that begins in line {}", parser_.context,
                                                  parser_.context_mark.line + 1)
                                    : std::string();
    return fail(ErrorKind::kConfig, "{}:{}:{}: {}{}", label, parser_.problem_mark.line + 1,
                parser_.problem_mark.column + 1, what, context);
  }

  std::string_view text_;
  bool is_ready_ = false;
  bool has_document_ = false;
  yaml_parser_t parser_ = {};
};

}  // namespace

Result<YamlRoot> parse_yaml(std::string_view text, const std::string& label) {
  TRY(YamlParser(text).check_depth(label));
  YamlParser parser(text);
  const auto root = TRY(parser.next(label));
  if (parser.has_document()) {
    TRY(parser.next(label));
    if (parser.has_document()) {
      return fail(ErrorKind::kConfig,
                  "{}: a second document (\"---\") ends in line {}, where one is accepted", label,
                  parser.line());
    }
  }
  return root;
}

}  // namespace gpuvm
