// SPDX-License-Identifier: Apache-2.0
// The words of a shell script (POSIX.1-2017 XCU 2.2 to 2.7, and bash's arrays): quotes, line
// continuations, comments, redirections, here-documents. Missing: all that runs something (command
// substitution, functions); it is told, and stays as it is.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/shell_reader.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostWords = 20000;   ///< of a command
constexpr std::size_t kMostDocuments = 64;  ///< here-documents of one line

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

}  // namespace

Result<std::optional<ShellCommand>> ShellReader::next_command() {
  while (at_ < text_.size()) {
    command_ = ShellCommand();
    is_redirection_ = false;
    is_guarded_ = std::exchange(is_next_guarded_, false);
    TRY(read_command());
    follow_blocks();
    if (take_assignments() || command_.words.empty()) {
      continue;
    }
    return std::optional(std::move(command_));
  }
  return std::optional<ShellCommand>();
}

void ShellReader::step() {
  if (text_[at_] == '\n') {
    ++line_;
    line_start_ = at_ + 1;
  }
  ++at_;
}

void ShellReader::begin_word() {
  if (!in_word_) {
    in_word_ = true;
    is_quoted_word_ = false;
    word_ = {{}, line_};
  }
}

void ShellReader::end_word() {
  if (!in_word_) {
    return;
  }
  in_word_ = false;
  if (is_redirection_) {
    is_redirection_ = false;
    command_.redirections.back().text += word_.text;
  } else if (command_.words.size() < kMostWords) {
    command_.words.push_back(std::move(word_));
  }
}

bool ShellReader::is_end(char c) const {
  return c == '\n' || c == ';' || c == '|' || (c == '&' && peek(1) != '>') ||
         ((c == '(' || c == ')') && !in_array_ &&
          !(c == '(' && in_word_ && word_.text.ends_with('=')));
}

/// Behind the end of a command.
void ShellReader::read_end() {
  const char c = peek();
  const bool is_double = (c == '&' || c == '|') && peek(1) == c;
  if (c == '\n' && !in_array_) {
    skip_here_documents();
  }
  if (at_ < text_.size() && peek() == c) {
    step();
  }
  if (is_double) {
    step();
  }
  is_next_guarded_ = is_double && !in_array_;
}

/// Up to the end of a command, which is taken too.
Status ShellReader::read_command() {
  while (at_ < text_.size()) {
    const char c = peek();
    if (is_end(c)) {
      end_word();
      if (in_array_) {
        read_end();
        continue;
      }
      command_.is_torn = c == '\n' && was_continued_;
      was_continued_ = false;
      read_end();
      return {};
    }
    TRY(read_piece(c));
  }
  end_word();
  return {};
}

Status ShellReader::read_piece(char c) {
  if (c == '\\') {
    read_escape();
    return {};
  }
  if (!is_blank(c) && c != '#') {
    was_continued_ = false;
  }
  if (c == '\'' || c == '"') {
    return read_quoted(c);
  }
  if (c == '$' && (peek(1) == '\'' || peek(1) == '"')) {
    step();  // "$'a'": its escapes stay as they are
  } else if (c == '$' || c == '`') {
    begin_word();
    read_expansion(false);
  } else if (c == '#' && !in_word_) {
    read_comment();
  } else if (is_blank(c)) {
    end_word();
    step();
  } else if (c == '<' || c == '>' || c == '&') {
    read_redirection();
  } else if (c == '(' || c == ')') {
    read_bracket(c);
  } else {
    begin_word();
    word_.text += c;
    step();
  }
  return {};
}

void ShellReader::read_comment() {
  while (at_ < text_.size() && peek() != '\n') {
    step();
  }
}

void ShellReader::read_escape() {
  std::size_t blanks = 1;
  while (is_blank(peek(blanks))) {
    ++blanks;
  }
  if (peek(blanks) == '\n') {  // a line that goes on
    if (blanks > 1) {
      command_.notes.push_back({"a space behind the backslash", line_,
                                "for a shell the command ends here: it is read as if it went on"});
    }
    for (std::size_t i = 0; i <= blanks; ++i) {
      step();
    }
    was_continued_ = true;
    return;
  }
  begin_word();
  step();
  if (at_ < text_.size()) {
    word_.text += peek();
    step();
  }
}

Status ShellReader::read_quoted(char quote) {
  begin_word();
  is_quoted_word_ = true;
  const std::size_t line = line_;
  const std::size_t column = at_ - line_start_ + 1;
  step();
  while (at_ < text_.size() && peek() != quote) {
    if (quote == '"' && (peek() == '$' || peek() == '`')) {
      read_expansion(true);
      continue;
    }
    if (quote == '"' && peek() == '\\' &&
        std::string_view("\"\\$`\n").find(peek(1)) != std::string_view::npos) {
      step();
      if (peek() == '\n') {
        step();
        continue;
      }
    }
    if (at_ < text_.size()) {
      word_.text += peek();
      step();
    }
  }
  if (at_ >= text_.size()) {
    return fail(ErrorKind::kConfig, "{}:{}:{}: this quote {} has no end: close it", label_, line,
                column, quote);
  }
  step();
  return {};
}

/// ">file", "2>&1", "3<>/dev/tap3", "<<END": no words of the command.
void ShellReader::read_redirection() {
  const bool is_number = in_word_ && !is_quoted_word_ &&
                         word_.text.find_first_not_of("0123456789") == std::string::npos;
  std::string sign = is_number ? word_.text : "";
  in_word_ = in_word_ && !is_number;
  end_word();
  const std::size_t line = line_;
  while (peek() == '<' || peek() == '>' || peek() == '&' ||
         (peek() == '|' && sign.ends_with('>'))) {
    sign += peek();
    step();
  }
  if (sign.ends_with("<<") && !sign.ends_with("<<<")) {
    read_here_document_name(line);
    return;
  }
  command_.redirections.push_back({std::move(sign), line});
  is_redirection_ = true;
}

void ShellReader::read_here_document_name(std::size_t line) {
  HereDocument document;
  document.line = line;
  document.has_tabs = peek() == '-';
  if (document.has_tabs) {
    step();
  }
  while (is_blank(peek())) {
    step();
  }
  while (at_ < text_.size() && !is_blank(peek()) &&
         std::string_view("\n;|&()<>").find(peek()) == std::string_view::npos) {
    if (peek() != '\'' && peek() != '"' && peek() != '\\') {
      document.end += peek();
    }
    step();
  }
  if (!document.end.empty() && here_documents_.size() < kMostDocuments) {
    here_documents_.push_back(std::move(document));
  }
}

/// At the end of the line that has their names.
void ShellReader::skip_here_documents() {
  const auto documents = std::exchange(here_documents_, {});
  for (const auto& document : documents) {
    skip_here_document(document);
  }
}

void ShellReader::skip_here_document(const HereDocument& document) {
  bool has_guest = false;
  while (at_ < text_.size()) {
    step();  // the line feed before
    const auto end = std::min(text_.find('\n', at_), text_.size());
    std::string_view line = text_.substr(at_, end - at_);
    while (at_ < end) {
      step();
    }
    const auto name = trimmed(line);
    line.remove_prefix(document.has_tabs ? std::min(line.find_first_not_of('\t'), line.size()) : 0);
    if (line == document.end || (name == document.end && line.ends_with('\r'))) {
      break;
    }
    has_guest = has_guest || line.find("qemu-system-") != std::string_view::npos ||
                line.find("<domain") != std::string_view::npos;
  }
  if (has_guest) {
    hidden_.push_back({"<<" + document.end, document.line,
                       "a here-document with a guest is not read: put it into a file of its own"});
  }
}

/// "NAME=(" begins an array.
void ShellReader::read_bracket(char c) {
  if (c == '(' && in_word_ && word_.text.ends_with('=')) {
    array_ = word_.text.substr(0, word_.text.size() - 1);
    in_word_ = false;
    in_array_ = true;
    command_.words.clear();
  } else if (c == ')' && in_array_) {
    end_word();
    store_array();
  } else {
    end_word();
  }
  step();
}

void ShellReader::store_array() {
  in_array_ = false;
  std::vector<std::string> items;
  for (auto& word : command_.words) {
    items.push_back(std::move(word.text));
  }
  command_.words.clear();
  variables_.assign_array(array_, std::move(items), std::exchange(command_.notes, {}),
                          condition(line_));
}

}  // namespace gpuvm::convert
