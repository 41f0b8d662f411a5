// SPDX-License-Identifier: Apache-2.0
// Which command of a shell script starts the guest, and what it is given besides QEMU's options.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_start.hpp"
#include "vmm/convert/shell_reader.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr unsigned kMostEvals = 4;             ///< texts that are commands in each other
constexpr std::size_t kMostNested = 1U << 20;  ///< bytes of such texts, in all
constexpr std::size_t kMostTriedLines = 64;    ///< of a page, which begin as commands do
constexpr std::size_t kMostLineWords = 64;     ///< of such a line

class CommandFinder {
 public:
  CommandFinder(const std::string& label, bool is_script, ForeignGuest& guest)
      : label_(label), is_script_(is_script), guest_(guest) {}

  Status read(std::string_view text, std::size_t first_line, unsigned depth) {
    ShellReader reader(text, label_, first_line, variables_);
    while (auto command = TRY(reader.next_command())) {
      TRY(take(std::move(*command), depth));
    }
    const auto& hidden = reader.hidden();
    hidden_.insert(hidden_.end(), hidden.begin(), hidden.end());
    return {};
  }

  /// A page without blocks of code: apostrophes of its prose are quotes for a shell. Each line that
  /// begins as a command of QEMU does is read by itself. Errors: those of such a command.
  Status read_lines(std::string_view text) {
    std::size_t tried = 0;
    std::size_t number = 1;
    for (std::size_t at = 0; at < text.size() && !options_ && tried < kMostTriedLines; ++number) {
      const auto end = std::min(text.find('\n', at), text.size());
      auto words = line_words(text.substr(at, end - at));
      const bool goes_on = !words.empty() && words.back().text == "\\";
      const auto qemu = find_qemu(words);
      if (qemu != words.end() && (goes_on || starts_guest(words, qemu))) {
        ++tried;
        ShellReader reader(text.substr(at), label_, number, variables_);
        if (auto command = TRY(reader.next_command())) {
          TRY(take(std::move(*command), kMostEvals));
        }
      }
      at = end + 1;
    }
    return {};
  }

  bool has_found() const { return options_.has_value(); }

  std::optional<std::vector<Word>> options() {
    if (options_) {
      auto& notes = guest_.notes[""];
      notes.insert(notes.end(), hidden_.begin(), hidden_.end());
    }
    return std::move(options_);
  }

 private:
  /// As they stand there, without quotes.
  static std::vector<Word> line_words(std::string_view line) {
    std::vector<Word> words;
    for (line = trimmed(line); !line.empty() && words.size() < kMostLineWords;
         line = trimmed(line)) {
      const auto end = std::min(line.find_first_of(" \t"), line.size());
      words.push_back({std::string(line.substr(0, end)), 0});
      std::erase_if(words.back().text, [](char c) { return c == '"' || c == '\''; });
      line.remove_prefix(end);
    }
    return words;
  }

  Status take(ShellCommand command, unsigned depth) {
    auto& words = command.words;
    const std::string_view first = words.front().text;
    const bool has_options =
        options_ && was_torn_ ? is_option(first) : is_option(first) && is_qemu_option(first);
    const auto qemu = find_qemu(words);
    if (qemu == words.end() && !has_options) {
      return take_text(command, depth);
    }
    if (!has_options && !starts_guest(words, qemu)) {
      return {};
    }
    if (options_) {
      tell_another(command, has_options);
      return {};
    }
    set_options(command, has_options ? words.end() : qemu);
    return {};
  }

  /// eval, sh -c and the like: a word that is a command itself.
  Status take_text(ShellCommand& command, unsigned depth) {
    auto& words = command.words;
    if (depth >= kMostEvals || is_about_qemu(words)) {
      return {};
    }
    for (const Word& word : words) {
      const auto text = trimmed(word.text);
      const auto space = text.find_first_of(" \t\n");
      const bool has_name =
          text.find("qemu") != std::string_view::npos || text.find("kvm") != std::string_view::npos;
      const bool has_lines = text.find('\n') != std::string_view::npos;
      if (space == std::string_view::npos || !has_name ||
          (has_lines && !is_script_ && !runs_texts(words))) {
        continue;  // of several lines: what is between two apostrophes of prose
      }
      nested_ += text.size();
      if (nested_ > kMostNested) {
        return {};
      }
      const auto before = guest_.notes[""].size();
      const bool had = options_.has_value();
      const auto outcome = read(text, word.line, depth + 1);  // where it fails it was none
      if (outcome && !had && options_) {  // what only the outer shell knows belongs to it
        auto& notes = guest_.notes[""];
        notes.insert(notes.begin() + static_cast<std::ptrdiff_t>(before), command.notes.begin(),
                     command.notes.end());
      }
      return {};
    }
    return {};
  }

  void tell_another(const ShellCommand& command, bool has_options) {
    const Word& first = command.words.front();
    if (has_options && was_torn_) {
      guest_.note("", first.text + " and what follows", first.line,
                  "for a shell the command ended at the comment or empty line before this: these "
                  "options do not reach QEMU; remove that line if they should");
      return;
    }
    guest_.note("", "another command", first.line,
                "only the first one is converted: put each into a file of its own");
  }

  void set_options(ShellCommand& command, std::vector<Word>::iterator qemu) {
    auto& words = command.words;
    was_torn_ = command.is_torn;
    auto& notes = guest_.notes[""];
    notes.insert(notes.end(), command.notes.begin(), command.notes.end());
    for (const auto& redirection : command.redirections) {
      tell_redirection(redirection);
    }
    if (qemu != words.end()) {
      tell_before(words, qemu);
      tell_program(*qemu);
      words.erase(words.begin(), std::next(qemu));
    }
    options_ = std::move(words);
  }

  void tell_redirection(const Word& word) {
    const bool is_descriptor = !word.text.empty() && word.text[0] >= '3' && word.text[0] <= '9';
    if (is_descriptor) {
      guest_.note("", word.text, word.line,
                  "the shell opens this for QEMU: start gpuvm with it, too");
    } else {
      guest_.needs_no_key(word.text);
    }
  }

  /// "sudo taskset -c 0-5".
  void tell_before(const std::vector<Word>& words, std::vector<Word>::const_iterator qemu) {
    std::string text;
    bool has_more = false;
    bool has_variables = false;
    for (auto word = words.begin(); word != qemu; ++word) {
      text += text.empty() ? "" : " ";
      text += word->text;
      const bool is_variable = ShellVariables::is_assignment(word->text);
      has_variables = has_variables || (is_variable && !is_usual_variable(word->text));
      has_more = has_more || (!is_variable && !is_transparent(word->text));
    }
    if (has_more) {
      guest_.note("machine", text, words.front().line,
                  "this stands before QEMU and is not converted: start gpuvm the same way, or use "
                  "machine.pin (taskset) and node.host_node (numactl)");
    } else if (has_variables) {
      guest_.note("", text, words.front().line,
                  "these variables were for QEMU: gpuvm has no use for them, and what it starts "
                  "has its own environment");
    } else if (!text.empty()) {
      guest_.needs_no_key(text);
    }
  }

  void tell_program(const Word& word) {
    const std::string name(word.text.substr(word.text.rfind('/') + 1));
    if (name.starts_with("qemu-system-i386")) {
      guest_.note("boot", name, word.line, "the guest's kernel has to be one of 64 bits");
    } else if (name.starts_with("qemu-system-") && !name.starts_with("qemu-system-x86") &&
               name.find('$') == std::string::npos) {
      guest_.hinder(name, word.line, advice::kOnlyX86);
    } else {
      guest_.needs_no_key(word.text);
    }
  }

  const std::string& label_;
  bool is_script_;
  ForeignGuest& guest_;
  ShellVariables variables_ = {};
  std::optional<std::vector<Word>> options_ = {};
  bool was_torn_ = false;
  std::size_t nested_ = 0;  ///< bytes of texts that are commands
  Notes hidden_ = {};
};

}  // namespace

Result<std::vector<Word>> command_words(std::string_view text, const std::string& label,
                                        ForeignGuest& guest) {
  const bool is_script = text.starts_with("#!");
  CommandFinder finder(label, is_script, guest);
  const auto outcome = finder.read(text, 1, 0);
  if (!outcome && is_script) {
    return outcome.error();
  }
  if (!finder.has_found() && !is_script) {
    TRY(finder.read_lines(text));
  }
  auto options = finder.options();
  if (!options && trimmed(text).starts_with('<')) {
    return fail(ErrorKind::kConfig,
                "{}:1:1: there is no command of QEMU here: this is XML, which goes without --from "
                "qemu",
                label);
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
