// SPDX-License-Identifier: Apache-2.0
// The words of a shell script (POSIX.1-2017 XCU 2.2 to 2.6, and bash's arrays): quotes, line
// continuations, comments, variables and arrays that the script sets itself. Missing: all that runs
// something (command substitution, here-documents, functions); it is told, and stays as it is.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "vmm/convert/readers.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostWords = 20000;        ///< of a command
constexpr std::size_t kMostExpanded = 1U << 20;  ///< bytes that variables may become, in all
constexpr std::string_view kSetIt =
    "gpuvm convert cannot know what the shell puts in there: write it in where it stands in this "
    "file";

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

class ShellReader {
 public:
  ShellReader(std::string_view text, const std::string& label, ForeignGuest& guest)
      : text_(text), label_(label), guest_(guest) {}

  /// The next command's words; nothing at the end of the text.
  Result<std::optional<std::vector<Word>>> next_command() {
    while (at_ < text_.size()) {
      words_.clear();
      TRY(read_command());
      if (take_assignments() || words_.empty()) {
        continue;
      }
      return std::optional(std::move(words_));
    }
    return std::optional<std::vector<Word>>();
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  void step() {
    if (text_[at_] == '\n') {
      ++line_;
      line_start_ = at_ + 1;
    }
    ++at_;
  }

  void begin_word() {
    if (!in_word_) {
      in_word_ = true;
      word_ = {{}, line_};
    }
  }

  void end_word() {
    if (in_word_ && !skips_word_ && words_.size() < kMostWords) {
      words_.push_back(std::move(word_));
    }
    skips_word_ = in_word_ ? false : skips_word_;
    in_word_ = false;
  }

  /// Up to the end of a command, which is taken too.
  Status read_command() {
    while (at_ < text_.size()) {
      const char c = peek();
      if (c == '\n' || c == ';' || c == '|' || c == '&') {
        end_word();
        step();
        if (in_array_) {
          continue;
        }
        return {};
      }
      TRY(read_piece(c));
    }
    end_word();
    return {};
  }

  Status read_piece(char c) {
    if (c == '\\') {
      return read_escape();
    }
    if (c == '\'' || c == '"') {
      return read_quoted(c);
    }
    if (c == '$' || c == '`') {
      begin_word();
      read_expansion(false);
    } else if (c == '#' && !in_word_) {
      while (at_ < text_.size() && peek() != '\n') {
        step();
      }
    } else if (is_space(c)) {
      end_word();
      step();
    } else if (c == '<' || c == '>') {
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

  Status read_escape() {
    if (peek(1) == '\n' || (peek(1) == '\r' && peek(2) == '\n')) {
      step();  // a line that goes on
      while (peek() != '\n') {
        step();
      }
      step();
      return {};
    }
    begin_word();
    step();
    if (at_ < text_.size()) {
      word_.text += peek();
      step();
    }
    return {};
  }

  Status read_quoted(char quote) {
    begin_word();
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

  /// ">file", "2>&1": no words of the command.
  void read_redirection() {
    const bool is_number =
        in_word_ && word_.text.find_first_not_of("0123456789") == std::string::npos;
    in_word_ = in_word_ && !is_number;
    end_word();
    while (peek() == '<' || peek() == '>' || peek() == '&') {
      step();
    }
    skips_word_ = true;
  }

  /// "NAME=(" begins an array; other brackets are the shell's own.
  void read_bracket(char c) {
    if (c == '(' && in_word_ && word_.text.ends_with('=')) {
      array_ = word_.text.substr(0, word_.text.size() - 1);
      in_word_ = false;
      in_array_ = true;
      end_word();
      words_.clear();
    } else if (c == ')' && in_array_) {
      end_word();
      store_array();
    } else {
      end_word();
    }
    step();
  }

  void store_array() {
    in_array_ = false;
    const bool is_added = array_.ends_with('+');
    auto& values = variables_[is_added ? array_.substr(0, array_.size() - 1) : array_];
    if (!is_added) {
      values.clear();
    }
    for (auto& word : words_) {
      values.push_back(std::move(word.text));
    }
    words_.clear();
  }

  /// Whether the command was only assignments, which are then known.
  bool take_assignments() {
    for (const auto& word : words_) {
      const bool is_keyword = word.text == "export" || word.text == "local";
      if (!is_keyword && assigned_name(word.text).empty()) {
        return false;
      }
    }
    for (const auto& word : words_) {
      if (const auto name = assigned_name(word.text); !name.empty()) {
        assign(std::string(name), word.text);
      }
    }
    return true;
  }

  static std::string_view assigned_name(std::string_view word) {
    const auto equal = word.find('=');
    if (equal == std::string_view::npos || equal == 0) {
      return {};
    }
    auto name = word.substr(0, equal);
    name.remove_suffix(name.ends_with('+') ? 1 : 0);
    const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), is_name_character);
    return is_name && (name[0] < '0' || name[0] > '9') ? name : std::string_view();
  }

  void assign(const std::string& name, std::string_view word) {
    auto& values = variables_[name];
    const std::string_view value = word.substr(word.find('=') + 1);
    const bool is_added = word[name.size()] == '+';
    if (!is_added || values.empty()) {
      values = {std::string(value)};
    } else if (values[0].size() < kMostExpanded) {
      values[0] += value;
    }
  }

  /// At "$" or "`".
  void read_expansion(bool is_quoted) {
    const std::size_t start = at_;
    const bool is_braced = peek(1) == '{';
    if (peek() == '`' || (peek() == '$' && peek(1) == '(')) {
      skip_substitution();
      keep(text_.substr(start, at_ - start));
      return;
    }
    step();
    if (is_braced) {
      step();
      const auto end = std::min(text_.find('}', at_), text_.size());
      const std::string_view inside = text_.substr(at_, end - at_);
      while (at_ < text_.size() && at_ <= end) {
        step();
      }
      expand(inside, text_.substr(start, at_ - start), is_quoted);
      return;
    }
    const std::size_t name = at_;
    while (at_ < text_.size() && is_name_character(peek())) {
      step();
    }
    // "$@", "$?" and the like; "$1" is a name already.
    if (at_ == name && at_ < text_.size() && std::string_view("@*#?$!-").find(peek()) < 7) {
      step();
    }
    expand(text_.substr(name, at_ - name), text_.substr(start, at_ - start), is_quoted);
  }

  void skip_substitution() {
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
  void expand(std::string_view inside, std::string_view whole, bool is_quoted) {
    auto length = static_cast<std::size_t>(
        std::find_if_not(inside.begin(), inside.end(), is_name_character) - inside.begin());
    const auto found = variables_.find(inside.substr(0, length));
    std::string_view rest = inside.substr(length);
    const bool is_all = rest == "[@]" || rest == "[*]";
    if (found != variables_.end() && (rest.empty() || is_all || rest.starts_with(":-"))) {
      put(found->second, is_all, is_quoted);
    } else if (found == variables_.end() && (rest.starts_with(":-") || rest.starts_with('-')) &&
               rest.find('$') == std::string_view::npos) {
      put({std::string(rest.substr(rest.starts_with(':') ? 2 : 1))}, false, is_quoted);
    } else {
      keep(whole);
    }
  }

  void keep(std::string_view whole) {
    word_.text += whole;
    guest_.note("", std::string(whole), line_, kSetIt);
  }

  void put(const std::vector<std::string>& values, bool is_all, bool is_quoted) {
    for (std::size_t i = 0; i < values.size() && (i == 0 || is_all); ++i) {
      expanded_ += values[i].size();
      if (expanded_ > kMostExpanded) {
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
  void put_one(std::string_view value, bool is_quoted) {
    for (const char c : value) {
      if (!is_quoted && (is_space(c) || c == '\n')) {
        in_word_ = in_word_ && !word_.text.empty();
        end_word();
        continue;
      }
      begin_word();
      word_.text += c;
    }
    in_word_ = in_word_ && (is_quoted || !word_.text.empty());  // an empty variable is no word
  }

  std::string_view text_;
  const std::string& label_;
  ForeignGuest& guest_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::size_t line_start_ = 0;
  std::size_t expanded_ = 0;
  std::vector<Word> words_ = {};
  Word word_ = {};
  bool in_word_ = false;
  bool skips_word_ = false;
  bool in_array_ = false;
  std::string array_ = {};
  std::map<std::string, std::vector<std::string>, std::less<>> variables_ = {};
};

bool is_qemu(std::string_view word) {
  const auto name = word.substr(word.rfind('/') + 1);
  return name.starts_with("qemu-system-") || name == "qemu-kvm" || name == "kvm" ||
         lower(word).starts_with("$qemu") || lower(word).starts_with("${qemu");
}

}  // namespace

Result<std::vector<Word>> command_words(std::string_view text, const std::string& label,
                                        ForeignGuest& guest) {
  ShellReader reader(text, label, guest);
  std::optional<std::vector<Word>> options;
  while (auto words = TRY(reader.next_command())) {
    const auto qemu = std::find_if(words->begin(), words->end(),
                                   [](const Word& word) { return is_qemu(word.text); });
    const bool has_options = words->front().text.starts_with('-');
    if (qemu == words->end() && !has_options) {
      continue;
    }
    if (options) {
      guest.note("", "another command", words->front().line,
                 "only the first one is converted: put each into a file of its own");
      break;
    }
    words->erase(words->begin(), qemu == words->end() ? words->begin() : std::next(qemu));
    options = std::move(words);
  }
  if (!options) {
    return fail(
        ErrorKind::kConfig,
        "{}:1:1: there is no command of QEMU here (qemu-system-x86_64 …) and no XML: give a "
        "script or a command line with its options, or what virsh dumpxml prints",
        label);
  }
  return std::move(*options);
}

}  // namespace gpuvm::convert
