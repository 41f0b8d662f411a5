// SPDX-License-Identifier: Apache-2.0
// TerminalMode: a terminal in raw mode for as long as the object lives (termios(3)).
#pragma once

#include <termios.h>

#include <optional>

namespace gpuvm {

class TerminalMode {
 public:
  /// Raw input: every key reaches the guest, Ctrl-C included. Output processing stays on, so that
  /// our own log lines still start at the left margin. fd must stay open while this lives. Nothing
  /// if fd is no terminal.
  static std::optional<TerminalMode> make_raw(int fd);

  TerminalMode(TerminalMode&& other) noexcept;
  TerminalMode& operator=(TerminalMode&& other) noexcept;
  TerminalMode(const TerminalMode&) = delete;
  TerminalMode& operator=(const TerminalMode&) = delete;
  /// Puts the terminal back as it was, and discards what was typed for the guest and not read: the
  /// shell would take it for commands. It never waits for the terminal. It runs on each way out
  /// that unwinds, so signals that end a run must end it through the control thread; nothing
  /// restores it after SIGKILL.
  ~TerminalMode() { restore(); }

 private:
  TerminalMode(int fd, const termios& saved) : fd_(fd), saved_(saved) {}
  void restore();

  int fd_;
  termios saved_;
};

}  // namespace gpuvm
