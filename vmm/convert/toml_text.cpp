// SPDX-License-Identifier: Apache-2.0
#include "vmm/convert/toml_text.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/base/text.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kMostWhat = 1024;  ///< bytes of foreign text in a comment
constexpr std::size_t kMostNotes = 256;  ///< of one section
constexpr std::size_t kMostLines = 8;    ///< that a comment names

/// The length of the UTF-8 character at the start of text (RFC 3629, 4); 0: there is none.
std::size_t character_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t size = byte(0) < 0x80                      ? 1
                           : byte(0) >= 0xc2 && byte(0) < 0xe0 ? 2
                           : byte(0) >= 0xe0 && byte(0) < 0xf0 ? 3
                           : byte(0) >= 0xf0 && byte(0) < 0xf5 ? 4
                                                               : 0;
  if (size == 0 || size > text.size()) {
    return 0;
  }
  for (std::size_t i = 1; i < size; ++i) {
    if (byte(i) >> 6 != 2) {
      return 0;
    }
  }
  const bool is_overlong =
      size > 2 && ((byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90));
  const bool is_beyond =
      size > 2 && ((byte(0) == 0xed && byte(1) > 0x9f) || (byte(0) == 0xf4 && byte(1) > 0x8f));
  return is_overlong || is_beyond ? 0 : size;
}

/// Calls with each character, "?" for bytes that are none.
template <class Function>
void each_character(std::string_view text, const Function& call) {
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    call(size == 0 ? std::string_view("?") : text.substr(0, size));
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
}

bool is_control(std::string_view character) {
  const auto byte = static_cast<unsigned char>(character[0]);
  return byte < ' ' || byte == 0x7f;
}

/// In one line, without control characters.
std::string one_line(std::string_view text) {
  std::string out;
  each_character(terminal_text(text), [&](std::string_view character) {
    out += is_control(character) ? std::string_view(" ") : character;
  });
  return out;
}

}  // namespace

std::string shown_text(std::string_view text) {
  std::string line = one_line(text);
  if (line.size() > kMostWhat) {
    std::size_t end = kMostWhat;
    while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xc0U) == 0x80) {
      --end;
    }
    line.resize(end);
    line += "…";
  }
  return line;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  each_character(text, [&](std::string_view character) {
    if (is_control(character)) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned char>(character[0]));
      return;
    }
    out += character == "\"" || character == "\\" ? "\\" : "";
    out += character;
  });
  return out + '"';
}

std::string quoted_list(const std::vector<std::string>& texts) {
  std::vector<std::string> items(texts.size());
  std::transform(texts.begin(), texts.end(), items.begin(),
                 [](const std::string& text) { return in_quotes(text); });
  return fmt::format("[{}]", fmt::join(items, ", "));
}

std::string memory_text(std::uint64_t bytes) {
  const std::uint64_t mebibytes = bytes >> 20;
  return mebibytes % 1024 == 0 && mebibytes != 0 ? fmt::format("{}GiB", mebibytes / 1024)
                                                 : fmt::format("{}MiB", mebibytes);
}

void TomlSection::set(std::string_view key, std::string_view value) {
  lines_.push_back(fmt::format("{} = {}", key, value));
}

void TomlSection::set_text(std::string_view key, std::string_view value) {
  if (!value.empty()) {
    set(key, in_quotes(value));
  }
}

void TomlSection::note(std::string what, std::size_t line, std::string_view advice) {
  notes_.push_back({std::move(what), line, std::string(advice)});
}

void TomlSection::add_notes(const Notes& notes) {
  notes_.insert(notes_.end(), notes.begin(), notes.end());
}

std::string TomlSection::print(std::size_t& notes) const {
  std::string out = header_.empty() ? "" : "\n";
  const char* const start = is_left_out_ ? "# " : "";
  if (!header_.empty()) {
    out += start + header_ + '\n';
  }
  out += comments_of(notes_, notes);
  for (const auto& line : lines_) {
    out += start + line + '\n';
  }
  return out;
}

std::string comment(std::string_view text) {
  const std::string line = one_line(text);
  std::string_view rest = line;
  std::string out;
  while (!rest.empty()) {
    std::size_t end = rest.size();
    if (end > kWidth) {
      end = rest.rfind(' ', kWidth);
      end = end == std::string_view::npos || end == 0 ? std::min(rest.find(' ', 1), rest.size())
                                                      : end;
    }
    out += "# ";
    out += rest.substr(0, end);
    out += '\n';
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

std::string comments_of(const Notes& notes, std::size_t& count) {
  struct Merged {
    const Note* note;
    std::vector<std::size_t> lines;
  };
  std::vector<Merged> all;
  std::size_t left_out = 0;
  for (const Note& note : notes) {
    auto same = std::find_if(all.begin(), all.end(), [&](const Merged& other) {
      return other.note->what == note.what && other.note->advice == note.advice;
    });
    if (same == all.end() && all.size() == kMostNotes) {
      ++left_out;
      continue;  // nobody reads that many
    }
    same = same == all.end() ? all.insert(all.end(), {&note, {}}) : same;
    if (note.line != 0 && same->lines.size() < kMostLines &&
        (same->lines.empty() || same->lines.back() != note.line)) {
      same->lines.push_back(note.line);
    }
  }
  std::string out;
  for (const Merged& one : all) {
    const std::string place = one.lines.empty()
                                  ? ""
                                  : fmt::format(" (line{} {})", one.lines.size() == 1 ? "" : "s",
                                                fmt::join(one.lines, ", "));
    out += comment(fmt::format("{}{}: {}.", shown_text(one.note->what), place, one.note->advice));
    ++count;
  }
  if (left_out != 0) {
    out += comment(fmt::format("There are {} more, too many to list.", left_out));
    count += left_out;
  }
  return out;
}

}  // namespace gpuvm::convert
