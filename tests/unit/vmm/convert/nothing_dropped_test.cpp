// SPDX-License-Identifier: Apache-2.0
// Nothing of a text is left out in silence: each name and value of all fixtures, and of the fuzz
// corpus, is replaced by a word that occurs nowhere else, and the word has to come out: in a key,
// in a comment with advice, or in the list of what needs no key.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <pugixml.hpp>
#include <set>
#include <sstream>

#include "tests/fixtures/source_file.hpp"
#include "tests/unit/vmm/convert/convert_test_support.hpp"
#include "vmm/convert/domain_parts.hpp"
#include "vmm/convert/option_list.hpp"
#include "vmm/convert/readers.hpp"

namespace gpuvm::nothing_dropped_test {
namespace {

using convert::Word;

constexpr std::string_view kMark = "zzmark";

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::filesystem::path> inputs() {
  std::vector<std::filesystem::path> paths;
  for (const auto* const folder : {"tests/fixtures/convert", "tests/fuzz/corpus/convert"}) {
    for (const auto& entry : std::filesystem::directory_iterator(test::source_file(folder))) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// "" where the text is refused.
std::string outcome_of(const std::string& text) {
  const auto guest = convert_guest(text, {"input", ForeignText::kAuto});
  return guest ? guest->toml : std::string();
}

/// A refusal is no silence.
void expect_mark(const std::string& text, const std::string& where) {
  const auto outcome = outcome_of(text);
  if (outcome.empty()) {
    return;
  }
  EXPECT_NE(outcome.find(kMark), std::string::npos) << where << " is dropped in\n" << text;
}

// --- Command lines

/// The options of a file with a command line; empty for domains.
std::vector<Word> options_of(const std::string& text) {
  const bool is_domain = text.starts_with('<') || text.find("<domain type") < text.find(" -m ");
  convert::ForeignGuest guest;
  auto words = is_domain ? Result<std::vector<Word>>(std::vector<Word>())
                         : convert::command_words(text, "input", guest);
  return words ? std::move(*words) : std::vector<Word>();
}

/// One word a line, as a shell reads them.
std::string command_of(const std::vector<Word>& words) {
  std::string text = "qemu-system-x86_64";
  for (const auto& word : words) {
    std::string quoted;
    for (const char c : word.text) {
      quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    text += " \\\n'" + quoted + "'";
  }
  return text + "\n";
}

struct Variant {
  std::string text;
  std::string what;
};

/// As QEMU takes names: with "_" or "-".
bool is_place_name(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return convert::is_place(name);
}

/// The argument of an option with one name or value after the other replaced.
std::vector<Variant> variants_of_json(const std::string& argument) {
  std::vector<Variant> variants;
  for (auto at = argument.find('"'); at != std::string::npos; at = argument.find('"', at + 1)) {
    const auto end = argument.find('"', at + 1);
    if (end == std::string::npos) {
      break;
    }
    const std::string text = argument.substr(at + 1, end - at - 1);
    const bool is_name = argument.compare(end + 1, 1, ":") == 0;
    const auto before = argument.rfind('"', at < 3 ? 0 : at - 3);  // the name of this value
    const std::string name =
        is_name || before == std::string::npos ? "" : argument.substr(before + 1, at - before - 3);
    if (is_name || !is_place_name(name)) {
      variants.push_back({argument.substr(0, at + 1) + std::string(kMark) + argument.substr(end),
                          (is_name ? "name " : "value ") + text});
    }
    at = end;
  }
  return variants;
}

std::vector<Variant> variants_of_list(const std::string& argument) {
  std::vector<Variant> variants;
  for (std::size_t at = 0; at <= argument.size();) {
    const auto end = std::min(argument.find(',', at), argument.size());
    const std::string part = argument.substr(at, end - at);
    const auto equal = part.find('=');
    const std::string before = argument.substr(0, at);
    const std::string after = argument.substr(end);
    const std::string name = part.substr(0, equal);
    if (equal == std::string::npos) {
      variants.push_back({before + std::string(kMark) + after, "value " + part});
    } else {
      variants.push_back(
          {before + std::string(kMark) + part.substr(equal) + after, "name " + name});
      if (!is_place_name(name)) {
        variants.push_back({before + name + '=' + std::string(kMark) + after, "value " + part});
      }
    }
    at = end + 1;
  }
  return variants;
}

/// Whether each thing of an argument stands by itself: not in the kernel's command line.
bool is_list(const std::string& option) {
  static const std::set<std::string> kTexts = {"-append", "-kernel", "-initrd", "-mem-path",
                                               "-cdrom",  "-hda",    "-bios",   "-pidfile",
                                               "-set",    "-global", "-uuid"};
  return !kTexts.contains(option);
}

void check_command(std::vector<Word> words, const std::string& file) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string option = words[i].text;
    if (!option.starts_with('-')) {
      continue;
    }
    words[i].text = "-" + std::string(kMark);
    expect_mark(command_of(words), file + ": option " + option);
    words[i].text = option;
    if (i + 1 == words.size() || words[i + 1].text.starts_with('-')) {
      continue;
    }
    const std::string argument = words[i + 1].text;
    const auto variants = argument.starts_with('{') ? variants_of_json(argument)
                          : is_list(option)
                              ? variants_of_list(argument)
                              : std::vector<Variant>{{std::string(kMark), "value " + argument}};
    for (const auto& variant : variants) {
      words[i + 1].text = variant.text;
      expect_mark(command_of(words), file + ": " + option + ' ' + variant.what);
    }
    words[i + 1].text = argument;
  }
}

// --- Domains

std::vector<pugi::xml_node> elements_of(const pugi::xml_document& document) {
  struct Collector : pugi::xml_tree_walker {
    bool for_each(pugi::xml_node& node) override {
      if (node.type() == pugi::node_element) {
        nodes.push_back(node);
      }
      return true;
    }
    std::vector<pugi::xml_node> nodes;
  };
  Collector collector;
  const_cast<pugi::xml_document&>(document).traverse(collector);
  return collector.nodes;
}

std::string text_of(const pugi::xml_document& document) {
  std::ostringstream out;
  document.save(out, "", pugi::format_raw | pugi::format_no_declaration);
  return out.str();
}

/// What the converter tells as a whole, with all that is in it; a place in the guest; and what
/// others keep in there for themselves.
bool is_whole(pugi::xml_node node, const std::string& outcome) {
  for (auto above = node.parent(); above; above = above.parent()) {
    const std::string_view name = above.name();
    if (name == "metadata" || name == "channel" || name == "video" ||
        outcome.find(convert::shown_element(above) + " (line") != std::string::npos) {
      return true;
    }
  }
  return false;
}

bool is_place_in_guest(pugi::xml_node node) {
  const std::string_view name = node.name();
  return name == "alias" ||
         (name == "address" && node.parent().name() != std::string_view("source"));
}

/// Comments in one line each.
std::string unwrapped(std::string text) {
  for (auto at = text.find("\n# "); at != std::string::npos; at = text.find("\n# ", at)) {
    text.replace(at, 3, " ");
  }
  return text;
}

void check_domain(const std::string& text, const std::string& file) {
  pugi::xml_document document;
  constexpr auto kFlags = pugi::parse_default | pugi::parse_fragment;
  ASSERT_TRUE(document.load_string(text.c_str(), kFlags)) << file;
  const std::string outcome = unwrapped(outcome_of(text_of(document)));
  for (auto node : elements_of(document)) {
    const std::string name = node.name();
    const bool is_second = name == "domain" && node.previous_sibling("domain");
    if (is_place_in_guest(node) || is_whole(node, outcome) || is_second ||
        (name == "name" && node.parent().previous_sibling("domain"))) {
      continue;
    }
    const std::string shown = file + ": " + convert::shown_element(node);
    const std::string mark(kMark);
    if (name != "domain" && name != "devices") {
      node.set_name(mark.c_str());
      expect_mark(text_of(document), shown + ", the element,");
      node.set_name(name.c_str());
    }
    for (auto attribute : node.attributes()) {
      const std::string key = attribute.name();
      const std::string value = attribute.value();
      attribute.set_name(mark.c_str());
      expect_mark(text_of(document), shown + ", name of " + key);
      attribute.set_name(key.c_str());
      attribute.set_value(mark.c_str());
      expect_mark(text_of(document), shown + ", value of " + key);
      attribute.set_value(value.c_str());
    }
    if (auto inside = node.first_child(); inside.type() == pugi::node_pcdata) {
      const std::string value = inside.value();
      inside.set_value(mark.c_str());
      expect_mark(text_of(document), shown + ", text");
      inside.set_value(value.c_str());
    }
  }
}

TEST(NothingDropped, WhatComesOutIsTaken) {
  for (const auto& path : inputs()) {
    const auto guest = convert_guest(content_of(path), {"input", ForeignText::kAuto});
    ASSERT_TRUE(guest) << path << guest.error().to_string();
    EXPECT_TRUE(guest->is_valid) << path << guest->toml;
    EXPECT_TRUE(parse_config(guest->toml, {"output", "/", "guest"})) << path;
  }
}

TEST(NothingDropped, OfCommandLines) {
  std::size_t checked = 0;
  for (const auto& path : inputs()) {
    const auto words = options_of(content_of(path));
    check_command(words, path.filename());
    checked += words.size();
  }
  EXPECT_GT(checked, 400U);
}

TEST(NothingDropped, OfDomains) {
  std::size_t checked = 0;
  for (const auto& path : inputs()) {
    const auto text = content_of(path);
    if (text.starts_with('<')) {
      check_domain(text, path.filename());
      ++checked;
    }
  }
  EXPECT_GE(checked, 10U);
}

}  // namespace
}  // namespace gpuvm::nothing_dropped_test
