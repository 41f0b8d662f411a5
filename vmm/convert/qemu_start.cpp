// SPDX-License-Identifier: Apache-2.0
#include "vmm/convert/qemu_start.hpp"

#include <algorithm>

#include "vmm/convert/shell_variables.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

using WordIterator = std::vector<Word>::iterator;

/// A program that starts the one whose name is behind its own options.
struct Starter {
  std::string_view name;
  std::string_view letters = {};       ///< its options of one letter that have an argument
  std::string_view long_options = {};  ///< those with "--", a space between, that have one
  unsigned operands = 0;               ///< words of its own before the other's name
  bool is_transparent = false;         ///< it says nothing of the guest
};

constexpr Starter kStarters[] = {
    {"sudo", "ugpChrtTRDU", "user group prompt chdir host role type chroot", 0, true},
    {"doas", "uCa", "", 0, true},
    {"exec", "a", "", 0, true},
    {"nohup", "", "", 0, true},
    {"env", "uC", "unset chdir", 0, true},
    {"time", "fo", "format output", 0, true},
    {"setsid", "", "", 0, true},
    {"command", "", "", 0, true},
    {"builtin", "", "", 0, true},
    {"stdbuf", "ioe", "input output error", 0, true},
    {"eval", "", "", 0, true},
    {"nice", "n", "adjustment"},
    {"ionice", "cnpPu", "class classdata"},
    {"chrt", "TPD", "sched-runtime sched-period sched-deadline", 1},
    {"taskset", "", "", 1},
    {"numactl", "NmCiPwps",
     "membind cpunodebind physcpubind interleave preferred preferred-many weighted-interleave"},
    {"choom", "n", "adjust"},
    {"cgexec", "g", ""},
    {"prlimit", "", ""},
    {"timeout", "ks", "kill-after signal", 1},
    {"systemd-run", "pEtuMHG",
     "property setenv unit slice uid gid nice description working-directory service-type"},
    {"systemd-inhibit", "", "what who why mode"},
    {"capsh", "", ""},
    {"setpriv", "", "reuid regid groups inh-caps ambient-caps bounding-set"},
    {"unshare", "", ""},
    {"nsenter", "tSG", "target setuid setgid"},
    {"chroot", "", "userspec groups", 1},
    {"runuser", "ug", "user group"},
    {"ip", "n", "", 3},  // "ip netns exec NAME"
    {"strace", "eopsPEuabIOSX", "output trace"},
    {"ltrace", "eopsu", "output"},
    {"gdb", "x", "ex"},
    {"valgrind", "", ""},
    {"perf", "eo", "event output", 1},
    {"tmux", "sncxye", "", 1},
    {"screen", "Schtp", ""},
    {"unbuffer"},
    {"xvfb-run"},
    {"dbus-run-session"},
    {"gamemoderun"},
    {"prime-run"},
    {"optirun"},
    {"primusrun"},
    {"winpty"}};

std::string_view program_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

const Starter* starter_of(std::string_view word) {
  const auto name = program_name(word);
  const auto* const found = std::find_if(std::begin(kStarters), std::end(kStarters),
                                         [&](const Starter& one) { return one.name == name; });
  return found == std::end(kStarters) ? nullptr : found;
}

bool is_qemu(std::string_view word) {
  if (word.find_first_of(" \t\n") != std::string_view::npos) {
    return false;  // a text that is a command
  }
  const auto name = program_name(word);
  const std::string small = lower(word);
  const bool is_variable = small.starts_with("$qemu") || small.starts_with("${qemu");
  return name.starts_with("qemu-system-") || name == "qemu-kvm" || name == "kvm" || is_variable;
}

/// "$", "user@host:~$", "[root@host", "~]#".
bool is_prompt(std::string_view word) {
  const bool has_host = word.find('@') != std::string_view::npos;
  return word == "%" || word.ends_with('$') || word.ends_with("]#") ||
         (has_host && (word.ends_with('#') || word.starts_with('[')));
}

bool is_in_list(std::string_view name, std::string_view list) {
  while (!list.empty()) {
    const auto end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == name) {
      return true;
    }
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

/// Whether the argument of a starter's option is the next word.
bool takes_next_word(const Starter& starter, std::string_view option) {
  if (option.starts_with("--")) {
    return is_in_list(option.substr(2), starter.long_options);
  }
  const auto place = option.find_first_of(starter.letters, 1);
  return !starter.letters.empty() && place == option.size() - 1;  // else it is in this word
}

/// Behind the options and operands of a starter.
WordIterator behind_starter(const Starter& starter, WordIterator word, WordIterator end) {
  for (++word; word != end && word->text.size() > 1 && word->text.starts_with('-'); ++word) {
    if (word->text == "--") {
      ++word;
      break;
    }
    if (takes_next_word(starter, word->text) && std::next(word) != end) {
      ++word;
    }
  }
  for (unsigned i = 0; i < starter.operands && word != end && !is_qemu(word->text); ++i) {
    ++word;
  }
  return word;
}

/// The name of the program that the command is about.
WordIterator find_program(std::vector<Word>& words) {
  auto word = words.begin();
  while (word != words.end() && !is_qemu(word->text)) {
    const std::string& text = word->text;
    if (const auto* const starter = starter_of(text)) {
      word = behind_starter(*starter, word, words.end());
    } else if (ShellVariables::is_assignment(text) || is_prompt(text) || text.starts_with('$')) {
      ++word;  // "$SUDO", which the script does not set, may be a starter
    } else {
      break;
    }
  }
  return word;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// "4711 /usr/bin/kvm", "root 4711 … 00:01:02 /usr/bin/kvm": what pgrep -a and ps print.
bool is_process_line(WordIterator first, WordIterator qemu) {
  const bool has_number =
      std::any_of(first, qemu, [](const Word& word) { return is_number(word.text); });
  const bool has_time = std::any_of(first, qemu, [](const Word& word) {
    return word.text.find_first_not_of("0123456789:-.") == std::string::npos &&
           word.text.find(':') != std::string::npos;
  });
  return has_number && (has_time || qemu - first == 1);
}

}  // namespace

std::vector<Word>::iterator find_qemu(std::vector<Word>& words) {
  const auto program = find_program(words);
  if (program != words.end() && is_qemu(program->text)) {
    return program;
  }
  const auto other = std::find_if(words.begin(), words.end(), [](const Word& word) {
    return word.text.starts_with('/') && is_qemu(word.text);
  });
  return other != words.end() && is_process_line(words.begin(), other) ? other : words.end();
}

bool is_option(std::string_view word) {
  word.remove_prefix(word.starts_with("--") ? 2 : word.starts_with('-') ? 1 : word.size());
  return !word.empty() &&
         ((word[0] >= 'a' && word[0] <= 'z') || (word[0] >= 'A' && word[0] <= 'Z'));
}

bool starts_guest(const std::vector<Word>& words, std::vector<Word>::const_iterator qemu) {
  static constexpr std::string_view kQuestions[] = {"-version", "--version", "-h", "-help",
                                                    "--help"};
  const auto first = std::next(qemu);
  if (first == words.end()) {
    return false;
  }
  const bool is_image = first->text.find_first_of("./") != std::string::npos;
  const bool begins = is_option(first->text) || first->text.starts_with('$') || is_image;
  const bool has_option =
      std::any_of(first, words.end(), [](const Word& word) { return is_option(word.text); });
  const bool is_question = std::any_of(first, words.end(), [](const Word& word) {
    return std::find(std::begin(kQuestions), std::end(kQuestions), word.text) !=
           std::end(kQuestions);
  });
  return begins && has_option && !is_question;
}

bool is_about_qemu(std::vector<Word>& words) {
  static constexpr std::string_view kOthers[] = {
      "echo",    "printf", "which", "command", "type",    "hash",    "pkill",    "pgrep",
      "killall", "kill",   "pidof", "apt",     "apt-get", "dnf",     "pacman",   "yum",
      "[",       "[[",     "test",  "dpkg",    "rpm",     "ls",      "cat",      "grep",
      "ln",      "cp",     "chmod", "ps",      "man",     "usermod", "modprobe", "virt-install"};
  const auto program = find_program(words);
  return program != words.end() && std::find(std::begin(kOthers), std::end(kOthers),
                                             program_name(program->text)) != std::end(kOthers);
}

bool runs_texts(std::vector<Word>& words) {
  static constexpr std::string_view kShells[] = {"sh", "bash", "dash", "zsh", "ksh", "su", "ssh"};
  const auto program = find_program(words);
  return program != words.end() &&
         (program != words.begin() || std::find(std::begin(kShells), std::end(kShells),
                                                program_name(program->text)) != std::end(kShells));
}

bool is_transparent(std::string_view word) {
  const auto* const starter = starter_of(word);
  return (starter != nullptr && starter->is_transparent) || word.starts_with('-') ||
         is_prompt(word);
}

bool is_usual_variable(std::string_view word) {
  const auto name = word.substr(0, word.find('='));
  return name == "LC_ALL" || name == "PATH" || name == "HOME" || name == "USER" ||
         name == "LOGNAME" || name == "LANG" || name.starts_with("XDG_") ||
         name == "QEMU_AUDIO_DRV";
}

}  // namespace gpuvm::convert
