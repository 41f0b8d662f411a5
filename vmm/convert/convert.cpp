// SPDX-License-Identifier: Apache-2.0
#include "vmm/convert/convert.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "vmm/config/config.hpp"
#include "vmm/convert/foreign_text.hpp"
#include "vmm/convert/readers.hpp"
#include "vmm/convert/values.hpp"
#include "vmm/convert/writers.hpp"

namespace gpuvm {
namespace {

using convert::ForeignGuest;
using convert::TomlSection;

constexpr std::string_view kLabel = "here";  ///< how the parser names our text
constexpr unsigned kMostRepairs = 64;

Result<ForeignGuest> read_foreign(std::string_view text, const ConvertSource& source) {
  const auto page = TRY(convert::find_guest(text, source));
  auto guest = TRY(page.is_domain ? convert::read_domain(page.text, source.label)
                                  : convert::read_command_line(page.text, source.label));
  auto& notes = guest.notes[""];
  notes.insert(notes.end(), page.notes.begin(), page.notes.end());
  convert::find_hindrances(guest);
  convert::settle_functions(guest);
  return guest;
}

/// "-enable-kvm; -machine q35": what was read and has no key, each once.
std::string keyless_comment(const ForeignGuest& guest) {
  constexpr std::size_t kMostListed = 1U << 16;  ///< bytes
  std::vector<std::string> texts;
  std::size_t size = 0;
  std::size_t left_out = 0;
  for (const auto& text : guest.keyless) {
    std::string shown = convert::shown_text(text);
    if (size > kMostListed) {
      ++left_out;
    } else if (std::find(texts.begin(), texts.end(), shown) == texts.end()) {
      size += shown.size();
      texts.push_back(std::move(shown));
    }
  }
  if (texts.empty()) {
    return "";
  }
  if (left_out != 0) {
    texts.push_back(fmt::format("and {} more", left_out));
  }
  return fmt::format("\n# Needs no key here: gpuvm does it by itself, or has no use for it:\n{}",
                     convert::comment(fmt::format("{}", fmt::join(texts, "; "))));
}

/// The text, and how many notes there are in it.
std::string print_guest(const ForeignGuest& guest, std::size_t& notes) {
  std::vector<TomlSection> sections = convert::head_sections(guest);
  const bool has_firmware_start = convert::is_uefi(guest) && guest.kernel.empty();
  for (auto part : {convert::pci_sections(guest), convert::node_sections(guest),
                    convert::disk_sections(guest, has_firmware_start), convert::net_sections(guest),
                    convert::vsock_section(guest), convert::share_sections(guest),
                    convert::tail_sections(guest)}) {
    std::move(part.begin(), part.end(), std::back_inserter(sections));
  }
  std::string out;
  for (const auto& remark : guest.remarks) {
    out += convert::comment(remark);
  }
  out += convert::comments_of(guest.hindrances, notes);
  for (const auto& section : sections) {
    if (!section.is_empty()) {
      out += section.print(notes);
    }
  }
  if (const auto rest = guest.notes.find(""); rest != guest.notes.end() && !rest->second.empty()) {
    out += "\n# What has no counterpart here:\n" + convert::comments_of(rest->second, notes);
  }
  out += keyless_comment(guest);
  return out.substr(out.starts_with('\n') ? 1 : 0);
}

/// The line that an error of the parser names, from 1; 0: none.
std::size_t line_of(std::string_view message) {
  const std::string mark = fmt::format("{}:", kLabel);
  std::size_t line = 0;
  for (auto at = message.find(mark); at != std::string_view::npos;
       at = message.find(mark, at + 1)) {
    const auto* const start = message.data() + at + mark.size();
    if (std::from_chars(start, message.data() + message.size(), line).ec == std::errc{}) {
      return line;
    }
  }
  return 0;
}

/// The message without its place in our text.
std::string without_place(std::string message) {
  const auto open = std::min(message.find(fmt::format(" ({}:", kLabel)),
                             message.find(fmt::format(" ({})", kLabel)));
  const auto close = message.find(')', open == std::string::npos ? message.size() : open);
  if (open != std::string::npos && close != std::string::npos) {
    message.erase(open, close - open + 1);
  }
  return message;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// The header of the section that a line is in, from 1; 0: none.
std::size_t header_of(std::string_view text, std::size_t number) {
  const auto lines = lines_of(text);
  for (std::size_t at = std::min(number, lines.size()); at > 0; --at) {
    if (lines[at - 1].starts_with('[')) {
      return at;
    }
  }
  return 0;
}

/// Makes a comment of a line that gpuvm refuses, or of the whole section where it is its header. An
/// empty message is not told.
std::string without_line(std::string_view text, std::size_t number, const std::string& message) {
  std::string out;
  std::size_t at = 0;
  bool is_in_section = false;
  for (const std::string& line : lines_of(text)) {
    ++at;
    const bool is_header = line.starts_with('[');
    if (at == number && !message.empty()) {
      out += convert::comment("gpuvm refuses this, write it by hand: " + without_place(message));
    }
    is_in_section = is_header ? at == number : is_in_section;
    const bool is_hidden = at == number || (is_in_section && !line.empty());
    out += is_hidden && !line.starts_with('#') ? "# " : "";
    out += line + '\n';
  }
  return out;
}

/// What parse_config() says of it; "" where it takes it.
std::string trouble_with(std::string_view text) {
  const auto config = parse_config(text, {std::string(kLabel), "/", "guest"});
  return config ? "" : config.error().to_string();
}

/// What gpuvm refuses becomes comments, each with the reason.
void make_valid(ConvertedGuest& guest) {
  std::string trouble = trouble_with(guest.toml);
  std::size_t repaired = 0;  // the header of the section that lost a line last
  for (unsigned i = 0; i < kMostRepairs && !trouble.empty(); ++i) {
    const std::size_t line = line_of(trouble);
    if (line == 0) {
      break;
    }
    // What is missing since its line became a comment is told by that one.
    const bool is_told = line == repaired && trouble.find("is missing") != std::string::npos;
    repaired = header_of(guest.toml, line);
    guest.toml = without_line(guest.toml, line, is_told ? "" : trouble);
    guest.notes += is_told ? 0U : 1U;
    trouble = trouble_with(guest.toml);
  }
  guest.is_valid = trouble.empty();
  if (!guest.is_valid) {
    guest.toml = convert::comment("Not valid yet: " + without_place(trouble)) + guest.toml;
    ++guest.notes;
  }
}

}  // namespace

Result<ConvertedGuest> convert_guest(std::string_view text, const ConvertSource& source) {
  const auto guest = TRY(read_foreign(text, source));
  ConvertedGuest converted;
  for (const auto& hindrance : guest.hindrances) {
    converted.hindrances.push_back(
        fmt::format("{}: {}", convert::shown_text(hindrance.what), hindrance.advice));
  }
  converted.toml = print_guest(guest, converted.notes);
  make_valid(converted);
  return converted;
}

}  // namespace gpuvm
