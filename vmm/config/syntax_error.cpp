// SPDX-License-Identifier: Apache-2.0
// The descriptions compared here are those of toml++ 3.3, impl/parser.inl. Where another version
// words them differently its own words are shown.
#include "vmm/config/syntax_error.hpp"

#include <algorithm>

#include "vmm/config/toml_reader.hpp"

namespace gpuvm::config {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// Line `number`, from 1, without its line end.
std::string_view line_of(std::string_view text, std::size_t number) {
  for (; number > 1; --number) {
    const auto end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  text = text.substr(0, text.find('\n'));
  return text.ends_with('\r') ? text.substr(0, text.size() - 1) : text;
}

/// Whether the place is just after the last character of its line; columns count characters.
bool is_line_end(std::string_view text, const toml::source_position& place) {
  const auto line = line_of(text, place.line);
  const auto begins_character = [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  };
  return std::count_if(line.begin(), line.end(), begins_character) + 1 ==
         static_cast<std::ptrdiff_t>(place.column);
}

/// What is wrong with a string that does not end; "" for anything else. toml++ tells of the line
/// end as of any control character.
std::string_view missing_quote(std::string_view text, std::string_view description,
                               const toml::source_position& place) {
  if (description.ends_with("string: encountered end-of-file")) {
    return "the string has no closing quote";
  }
  if (description.ends_with("control characters other than TAB (U+0009) are explicitly "
                            "prohibited") &&
      is_line_end(text, place)) {
    return "the string has no closing quote on its line";
  }
  return "";
}

/// What helps against a value that is none. Text without quotes is taken for a number, a time or a
/// boolean when it begins like one: 4GiB, 01:00.0, test.img.
std::string_view cure(std::string_view description) {
  if (contains(description, "could not determine value type")) {
    return "; text needs quotes";
  }
  if (!contains(description, ", saw ")) {
    return "";
  }
  if (contains(description, "parsing boolean: ")) {
    return "; booleans are true and false, and text needs quotes";
  }
  for (const char* const kind :
       {"integer: ", "parsing floating-point: ", "parsing date", "parsing time: "}) {
    if (contains(description, kind)) {
      return "; text needs quotes";
    }
  }
  return "";
}

/// The first line with anything but a comment in it, without the white space before it.
std::string_view first_content(std::string_view text) {
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    const auto start = line.find_first_not_of(" \t\r");
    if (start != std::string_view::npos && line[start] != '#') {
      return line.substr(start);
    }
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return {};
}

/// What to do with another monitor's guest, which people give as it is; "" for other texts.
std::string_view foreign_cure(std::string_view text) {
  const auto line = first_content(text);
  if (line.starts_with('<')) {
    return "; this is XML: `gpuvm convert` makes a configuration of a domain of libvirt";
  }
  const auto end = line.find_last_not_of(" \t\r");
  const bool goes_on = end != std::string_view::npos && line[end] == '\\';
  if (text.starts_with("#!") || goes_on || contains(line, "qemu-system-")) {
    return "; this is a script: `gpuvm convert` makes a configuration of a command line of QEMU";
  }
  return "";
}

}  // namespace

Error syntax_error(std::string_view text, const std::string& label,
                   const toml::parse_error& problem) {
  const auto place = problem.source().begin;
  const auto description = problem.description();
  const auto known = missing_quote(text, description, place);
  const auto told = known.empty() ? one_line(description) : std::string(known);
  const auto foreign = foreign_cure(text);
  return fail(ErrorKind::kConfig, "{}:{}:{}: {}{}", label, place.line, place.column, told,
              foreign.empty() ? cure(description) : foreign);
}

}  // namespace gpuvm::config
