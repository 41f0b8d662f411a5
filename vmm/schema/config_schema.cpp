// SPDX-License-Identifier: Apache-2.0
#include "vmm/schema/config_schema.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "vmm/config/key_forms.hpp"
#include "vmm/schema/key_comments.hpp"
#include "vmm/schema/reference_text.hpp"

namespace gpuvm::schema {
namespace {

using Json = nlohmann::ordered_json;

class SchemaWriter {
 public:
  SchemaWriter(KeyForms forms, std::map<std::string, std::string> comments)
      : forms_(std::move(forms)), comments_(std::move(comments)) {}

  /// Of the root, of a section, or of a table that is a key's value.
  Json table(const std::string& name) const {
    Json json = {{"type", "object"}};
    if (has_form(name, KeyForm::Kind::kFreeTable)) {
      return json;
    }
    json["properties"] = Json::object();
    const auto prefix = name.empty() ? std::string() : name + '.';
    for (const auto& [key, forms] : forms_) {
      const bool is_below = !key.empty() && key.starts_with(prefix);
      if (is_below && key.find('.', prefix.size()) == std::string::npos) {
        json["properties"][key.substr(prefix.size())] = value(key, forms);
      }
    }
    json["additionalProperties"] = false;
    return json;
  }

 private:
  bool has_form(const std::string& name, KeyForm::Kind kind) const {
    const auto found = forms_.find(name);
    return found != forms_.end() &&
           std::any_of(found->second.begin(), found->second.end(),
                       [kind](const KeyForm& form) { return form.kind == kind; });
  }

  Json value(const std::string& key, const std::vector<KeyForm>& forms) const {
    Json choices = Json::array();
    std::string rule;
    for (const KeyForm& form : forms) {
      // A table whose keys are the user's is noted as a table, too.
      if (form.kind != KeyForm::Kind::kFreeTable) {
        choices.push_back(one_form(key, form));
        rule = rule.empty() ? form.rule : rule;
      }
    }
    Json json = choices.size() == 1 ? choices[0] : Json{{"anyOf", choices}};
    if (const auto text = description(key, rule); !text.empty()) {
      json["description"] = text;
    }
    return json;
  }

  Json one_form(const std::string& key, const KeyForm& form) const {
    const Json integer = {{"type", "integer"}, {"minimum", form.least}, {"maximum", form.most}};
    const Json string = {{"type", "string"}};
    switch (form.kind) {
      case KeyForm::Kind::kBoolean:
        return {{"type", "boolean"}};
      case KeyForm::Kind::kInteger:
        return integer;
      case KeyForm::Kind::kString:
        return form.words.empty() ? string : Json{{"enum", form.words}};
      case KeyForm::Kind::kIntegers:
        return {{"type", "array"}, {"items", integer}};
      case KeyForm::Kind::kStrings:
        return {{"type", "array"}, {"items", string}};
      case KeyForm::Kind::kTables:
        return {{"type", "array"}, {"items", table(key)}};
      case KeyForm::Kind::kTable:
      case KeyForm::Kind::kFreeTable:
        break;
    }
    return table(key);
  }

  std::string description(const std::string& key, const std::string& rule) const {
    const auto comment = comments_.find(key);
    if (comment != comments_.end()) {
      return comment->second;
    }
    return rule.empty() ? rule : fmt::format("Must be {}.", rule);
  }

  KeyForms forms_;
  std::map<std::string, std::string> comments_;
};

}  // namespace

std::string config_schema() {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "gpuvm configuration"},
                 {"description", "A guest of gpuvm; see gpuvm.toml(5)."}};
  schema.update(SchemaWriter(config_key_forms(), key_comments(reference_text())).table(""));
  return schema.dump(2) + '\n';
}

}  // namespace gpuvm::schema
