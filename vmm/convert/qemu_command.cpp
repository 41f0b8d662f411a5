// SPDX-License-Identifier: Apache-2.0
// Which command of a shell script starts the guest, and what it is given besides QEMU's options.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/shell_reader.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr unsigned kMostEvals = 4;             ///< texts that are commands in each other
constexpr std::size_t kMostNested = 1U << 20;  ///< bytes of such texts, in all

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

bool is_word_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_qemu(std::string_view word) {
  if (word.find_first_of(" \t\n") != std::string_view::npos) {
    return false;  // a text that is a command
  }
  const std::string name = lower(base_name(word));
  const bool is_variable = lower(word).starts_with("$qemu") || lower(word).starts_with("${qemu");
  return name.starts_with("qemu-system-") || name == "qemu-kvm" || name == "kvm" || is_variable;
}

/// Commands that have QEMU's name for another purpose than to start it.
bool is_about_qemu(std::string_view word) {
  return is_word_of(base_name(word),
                    {"echo",     "printf",  "which", "command",      "type", "hash",    "pkill",
                     "pgrep",    "killall", "pidof", "kill",         "apt",  "apt-get", "dnf",
                     "pacman",   "yum",     "[",     "[[",           "test", "dpkg",    "rpm",
                     "ls",       "cat",     "grep",  "virt-install", "ln",   "cp",      "chmod",
                     "modprobe", "man",     "ps"});
}

/// Options with which QEMU starts no guest.
bool is_question(std::string_view word) {
  return is_word_of(word, {"-version", "--version", "-h", "-help", "--help"});
}

/// What stands before QEMU and is not of the guest.
bool is_starter(std::string_view word) {
  return is_word_of(base_name(word), {"sudo", "doas", "exec", "nohup", "env", "time", "setsid",
                                      "command", "builtin", "stdbuf"});
}

class CommandFinder {
 public:
  CommandFinder(const std::string& label, ForeignGuest& guest) : label_(label), guest_(guest) {}

  Status read(std::string_view text, std::size_t first_line, unsigned depth) {
    ShellReader reader(text, label_, first_line, variables_);
    while (auto command = TRY(reader.next_command())) {
      TRY(take(std::move(*command), depth));
    }
    const auto& hidden = reader.hidden();
    hidden_.insert(hidden_.end(), hidden.begin(), hidden.end());
    return {};
  }

  std::optional<std::vector<Word>> options() {
    if (options_) {
      auto& notes = guest_.notes[""];
      notes.insert(notes.end(), hidden_.begin(), hidden_.end());
    }
    return std::move(options_);
  }

 private:
  Status take(ShellCommand command, unsigned depth) {
    auto& words = command.words;
    const bool has_options = words.front().text.starts_with('-');
    const auto qemu = std::find_if(words.begin(), words.end(),
                                   [](const Word& word) { return is_qemu(word.text); });
    if (qemu == words.end() && !has_options) {
      return take_text(command, depth);
    }
    const bool is_other =
        std::any_of(words.begin(), qemu,
                    [](const Word& word) { return is_about_qemu(word.text); }) ||
        std::any_of(qemu, words.end(), [](const Word& word) { return is_question(word.text); });
    const bool starts = has_options || std::any_of(qemu, words.end(), [](const Word& word) {
                          return word.text.starts_with('-');
                        });
    if (is_other || !starts) {
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
  Status take_text(const ShellCommand& command, unsigned depth) {
    const auto& words = command.words;
    if (depth >= kMostEvals || is_about_qemu(words.front().text)) {
      return {};
    }
    for (const Word& word : words) {
      const auto text = trimmed(word.text);
      const auto space = text.find_first_of(" \t\n");
      const bool has_name =
          text.find("qemu") != std::string_view::npos || text.find("kvm") != std::string_view::npos;
      if (space == std::string_view::npos || !has_name) {
        continue;
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
    for (auto word = words.begin(); word != qemu; ++word) {
      text += text.empty() ? "" : " ";
      text += word->text;
      has_more = has_more || (!is_starter(word->text) && !word->text.starts_with('-'));
    }
    if (has_more) {
      guest_.note("machine", text, words.front().line,
                  "this stands before QEMU and is not converted: start gpuvm the same way, or use "
                  "machine.pin (taskset) and node.host_node (numactl)");
    } else if (!text.empty()) {
      guest_.needs_no_key(text);
    }
  }

  void tell_program(const Word& word) {
    const std::string name(base_name(word.text));
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
  CommandFinder finder(label, guest);
  TRY(finder.read(text, 1, 0));
  auto options = finder.options();
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
