// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/completion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace gpuvm::cli {
namespace {

/// What the names of values in the help stand for.
struct NamedKind {
  std::string_view name;
  std::string_view kind;
};
constexpr std::array<NamedKind, 16> kPlaces{{{"CONFIG", "configs"},
                                             {"BDF", "devices"},
                                             {"GUEST", "guests"},
                                             {"NAME", "guests"},
                                             {"POOL", "pools"},
                                             {"SOURCE", "devices_files"},
                                             {"SCRIPT", "files"},
                                             {"FILE", "files"},
                                             {"IN", "files"},
                                             {"OUT", "files"},
                                             {"PROGRAM", "files"},
                                             {"DIR", "folders"},
                                             {"FOLDER", "folders"},
                                             {"PATH", "files"},
                                             {"SNAPSHOT", "files"},
                                             {"XML", "files"}}};

std::string_view kind_of_name(std::string_view name) {
  const auto found = std::find_if(kPlaces.begin(), kPlaces.end(),
                                  [name](const NamedKind& each) { return each.name == name; });
  return found != kPlaces.end() ? found->kind : "nothing";
}

/// "words a b" of the type "METHOD:{a,b}" or "a|b"; "" of others.
ValueKind words_of(std::string type) {
  const auto open = type.find('{');
  const auto close = type.find('}');
  if (open != std::string::npos && close != std::string::npos && open < close) {
    type = type.substr(open + 1, close - open - 1);
    std::replace(type.begin(), type.end(), ',', ' ');
    return fmt::format("words {}", type);
  }
  if (type.find('|') != std::string::npos) {
    std::replace(type.begin(), type.end(), '|', ' ');
    return fmt::format("words {}", type.substr(0, type.find(':')));
  }
  return {};
}

ValueKind value_kind(const CLI::Option& option) {
  const auto type = option.get_type_name();
  if (auto words = words_of(type); !words.empty()) {
    return words;
  }
  const auto name =
      option.get_positional() ? option.get_single_name() : type.substr(0, type.find(':'));
  auto kind = kind_of_name(name);
  // Addresses, and behind them a file.
  if (kind == "devices" && type == "FILE") {
    kind = "devices_files";
  }
  return ValueKind(kind);
}

/// Tables of words have lines.
std::string one_line_of(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// Verbs whose CONFIG may be a guest that runs, too.
ValueKind place_kind(const CLI::App& app, const CLI::Option& option) {
  auto kind = value_kind(option);
  return kind == "configs" && app.get_name() == "inspect" ? "configs_guests" : kind;
}

CompletedVerb verb_below(const CLI::App& app, const std::string& path) {
  CompletedVerb verb;
  verb.path = path;
  verb.name = app.get_name();
  verb.description = one_line_of(app.get_description());
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      verb.places.push_back(place_kind(app, *option));
      verb.has_last_place_more = option->get_expected_max() > 1;
      continue;
    }
    CompletedOption one;
    for (const auto& name : option->get_snames()) {
      one.names.push_back(fmt::format("-{}", name));
    }
    for (const auto& name : option->get_lnames()) {
      one.names.push_back(fmt::format("--{}", name));
    }
    one.description = one_line_of(option->get_description());
    // A flag expects none.
    one.value = option->get_expected_max() == 0 ? "" : value_kind(*option);
    if (!option->get_group().empty()) {
      verb.options.push_back(std::move(one));
    }
  }
  for (const CLI::App* below : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!below->get_group().empty()) {
      verb.verbs.push_back(verb_below(*below, path.empty()
                                                  ? below->get_name()
                                                  : fmt::format("{} {}", path, below->get_name())));
    }
  }
  return verb;
}

void add_all(const CompletedVerb& verb, std::vector<const CompletedVerb*>& all) {
  all.push_back(&verb);
  for (const CompletedVerb& below : verb.verbs) {
    add_all(below, all);
  }
}

}  // namespace

CompletedVerb completed_verb(const CLI::App& app) {
  return verb_below(app, "");
}

std::vector<const CompletedVerb*> all_verbs(const CompletedVerb& root) {
  std::vector<const CompletedVerb*> all;
  add_all(root, all);
  return all;
}

std::string single_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\'";
    }
    quoted += c;
  }
  return quoted + '\'';
}

std::string value_function(const CompletedVerb& root) {
  std::string text = "_gpuvm_value() {\n  case \"$1 $2\" in\n";
  for (const CompletedVerb* verb : all_verbs(root)) {
    for (const CompletedOption& option : verb->options) {
      for (const auto& name : option.names) {
        if (!option.value.empty()) {
          text += fmt::format("    {}) echo {} ;;\n",
                              single_quoted(fmt::format("{} {}", verb->path, name)),
                              single_quoted(option.value));
        }
      }
    }
    for (std::size_t i = 0; i < verb->places.size(); ++i) {
      const bool is_rest = i + 1 == verb->places.size() && verb->has_last_place_more;
      text += fmt::format(
          "    {}{}) echo {} ;;\n",
          single_quoted(fmt::format("{} {}", verb->path, is_rest ? "" : std::to_string(i + 1))),
          is_rest ? "[0-9]*" : "", single_quoted(verb->places[i]));
    }
  }
  text += "  esac\n}\n";
  return text;
}

}  // namespace gpuvm::cli
