// SPDX-License-Identifier: Apache-2.0
// What a shell puts into words (POSIX.1-2017 XCU 2.6), and the assignments that it is from. What
// stands below a condition is taken as if it were run, and told where it is used.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/shell_reader.hpp"

namespace gpuvm::convert {
namespace {

constexpr unsigned kMostDefaults = 8;         ///< in each other
constexpr std::size_t kMostShellNotes = 512;  ///< of a command
constexpr std::size_t kMostOpenBlocks = 256;
constexpr std::string_view kSetIt =
    "gpuvm convert cannot know what the shell puts in there: where this stands in the "
    "configuration, write what it is";

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// The "}" that belongs to the "{" before `at`.
std::size_t closing_brace(std::string_view text, std::size_t at) {
  std::size_t depth = 1;
  for (; at < text.size(); ++at) {
    depth += text[at] == '{' ? 1U : 0U;
    depth -= text[at] == '}' ? 1U : 0U;
    if (depth == 0) {
      return at;
    }
  }
  return text.size();
}

}  // namespace

/// At "$" or "`".
void ShellReader::read_expansion(bool is_quoted) {
  const std::size_t start = at_;
  if (peek() == '$' && peek(1) == '(' && peek(2) == '(') {
    skip_substitution();
    const std::string_view whole = text_.substr(start, at_ - start);
    const bool is_closed = whole.size() > 4 && whole.ends_with("))");
    const auto value =
        is_closed ? variables_.calculate(whole.substr(3, whole.size() - 5)) : std::nullopt;
    if (value) {
      word_.text += fmt::format("{}", *value);
    } else {
      keep(whole);
    }
    return;
  }
  if (peek() == '`' || peek(1) == '(') {
    skip_substitution();
    keep(text_.substr(start, at_ - start));
    return;
  }
  step();
  read_parameter(start, is_quoted);
}

/// Behind "$".
void ShellReader::read_parameter(std::size_t start, bool is_quoted) {
  if (peek() == '{') {
    step();
    const auto end = closing_brace(text_, at_);
    const std::string_view inside = text_.substr(at_, end - at_);
    while (at_ < text_.size() && at_ <= end) {
      step();
    }
    expand(inside, text_.substr(start, at_ - start), is_quoted);
    return;
  }
  const std::size_t name = at_;
  at_ += name_length(text_.substr(at_));
  // "$@", "$?" and the like; "$1" is a name already.
  if (at_ == name && at_ < text_.size() && std::string_view("@*#?$!-").find(peek()) < 7) {
    step();
  }
  if (at_ == name) {
    word_.text += '$';  // alone it is itself
    return;
  }
  expand(text_.substr(name, at_ - name), text_.substr(start, at_ - start), is_quoted);
}

void ShellReader::skip_substitution() {
  const char close = peek() == '`' ? '`' : ')';
  std::size_t depth = 0;
  step();
  while (at_ < text_.size()) {
    depth += peek() == '(' ? 1U : 0U;
    if (peek() == close && (close == '`' || --depth == 0)) {
      step();
      return;
    }
    step();
  }
}

/// `inside` of "${inside}", `whole` as it is written.
void ShellReader::expand(std::string_view inside, std::string_view whole, bool is_quoted) {
  const auto found = variables_.may_expand(0) ? variables_.expand(inside) : std::nullopt;
  if (!found) {
    keep(whole);
    return;
  }
  if (found->of != nullptr) {
    for (const auto& note : found->of->notes) {
      if (command_.notes.size() < kMostShellNotes) {
        command_.notes.push_back(note);
      }
    }
    if (found->of->condition != 0 && command_.notes.size() < kMostShellNotes) {
      command_.notes.push_back({std::string(whole), line_,
                                fmt::format("the script sets it below a condition or loop (line "
                                            "{}): look whether what is here is right",
                                            found->of->condition)});
    }
  }
  const bool is_default = inside.size() > name_length(inside) && found->items.size() == 1 &&
                          inside.ends_with(found->items[0]) &&
                          found->items[0].find('$') != std::string::npos;
  if (is_default && depth_ < kMostDefaults) {
    put({expand_default(found->items[0])}, false, is_quoted);
  } else {
    put(found->items, found->is_all, is_quoted);
  }
}

/// "${A:-$B}": the default has variables, too.
std::string ShellReader::expand_default(std::string_view text) {
  ShellReader inner(text, label_, line_, variables_);
  inner.depth_ = depth_ + 1;
  inner.begin_word();
  while (inner.at_ < text.size()) {
    if (inner.peek() == '$' || inner.peek() == '`') {
      inner.read_expansion(true);
    } else {
      inner.word_.text += inner.peek();
      inner.step();
    }
  }
  command_.notes.insert(command_.notes.end(), inner.command_.notes.begin(),
                        inner.command_.notes.end());
  return inner.word_.text;
}

void ShellReader::keep(std::string_view whole) {
  word_.text += whole;
  if (command_.notes.size() < kMostShellNotes) {
    command_.notes.push_back({std::string(whole), line_, std::string(kSetIt)});
  }
}

void ShellReader::put(const std::vector<std::string>& values, bool is_all, bool is_quoted) {
  for (std::size_t i = 0; i < values.size() && (i == 0 || is_all); ++i) {
    if (!variables_.may_expand(values[i].size() + 1)) {
      return;
    }
    if (i != 0) {
      end_word();
      begin_word();
    }
    put_one(values[i], is_quoted);
  }
}

/// Outside quotes white space in a value parts words.
void ShellReader::put_one(std::string_view value, bool is_quoted) {
  for (const char c : value) {
    if (!is_quoted && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
      in_word_ = in_word_ && !word_.text.empty();
      end_word();
      continue;
    }
    begin_word();
    word_.text += c;
  }
  in_word_ = in_word_ && (is_quoted || !word_.text.empty());  // an empty variable is no word
}

std::size_t ShellReader::condition(std::size_t line) const {
  return !blocks_.empty() ? blocks_.back() : is_guarded_ ? line : 0;
}

/// Takes the shell's own words from the start of a command, and follows which blocks are open.
void ShellReader::follow_blocks() {
  auto& words = command_.words;
  std::size_t own = 0;
  for (; own < words.size(); ++own) {
    const std::string& word = words[own].text;
    if (is_one_of(word, {"if", "for", "while", "until", "case", "select"})) {
      if (blocks_.size() < kMostOpenBlocks) {
        blocks_.push_back(words[own].line);
      }
      if (is_one_of(word, {"for", "case", "select"})) {
        own = words.size();  // names and lists, no command
        break;
      }
    } else if (is_one_of(word, {"fi", "done", "esac"})) {
      if (!blocks_.empty()) {
        blocks_.pop_back();
      }
    } else if (!is_one_of(word, {"then", "else", "elif", "do", "{", "}", "!", "function"})) {
      break;
    }
  }
  words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(own));
}

/// Whether the command was only assignments, which are then known.
bool ShellReader::take_assignments() {
  auto& words = command_.words;
  const bool is_declared = !words.empty() && is_one_of(words[0].text, {"export", "local", "declare",
                                                                       "typeset", "readonly"});
  const auto is_assigned = [](const Word& word) {
    return ShellVariables::is_assignment(word.text);
  };
  if (words.empty() || (!is_declared && !std::all_of(words.begin(), words.end(), is_assigned))) {
    return false;
  }
  for (const auto& word : words) {
    if (is_assigned(word)) {
      variables_.assign(word.text, command_.notes, condition(word.line));
    }
  }
  return true;
}

}  // namespace gpuvm::convert
