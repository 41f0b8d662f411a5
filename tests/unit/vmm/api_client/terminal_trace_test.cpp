// SPDX-License-Identifier: Apache-2.0
// What a guest has left of a terminal, and that nothing else is undone.
#include "vmm/api_client/terminal_trace.hpp"

#include <gtest/gtest.h>

namespace gpuvm::terminal_trace_test {
namespace {

std::string undo_of(std::string_view written) {
  TerminalTrace whole;
  whole.see(written);
  TerminalTrace pieces;
  for (const char c : written) {
    pieces.see({&c, 1});
  }
  EXPECT_EQ(whole.undo(), pieces.undo());
  return whole.undo();
}

TEST(TerminalTrace, TextLeavesNothing) {
  EXPECT_EQ(undo_of(""), "");
  EXPECT_EQ(undo_of("login: \r\n\t\xc3\xa9\xc2\xb5 [?1049h\x1b[2J\x1b[H\x1b[10;5H\x1b[K"), "");
}

// As vim has it, with a mouse and pasted text, in a console that is left while it runs.
TEST(TerminalTrace, AFullScreenProgramIsUndone) {
  EXPECT_EQ(undo_of("\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b[?1000;1006h\x1b[?25l\x1b[1;31mx"),
            "\x1b>\x1b[?1l\x1b[?1000l\x1b[?1006l\x1b[?2004l\x1b[?25h\x1b[?1049l\x1b[m");
}

TEST(TerminalTrace, WhatTheProgramTakesBackIsNotUndoneAgain) {
  EXPECT_EQ(undo_of("\x1b[?1049h\x1b[?25l\x1b=\x1b[4h\x1b[5;10r\x1b[?2004h"
                    "\x1b[?2004l\x1b[r\x1b[4l\x1b>\x1b[?25h\x1b[?1049l"),
            "");
  EXPECT_EQ(undo_of("\x1b[?1049h\x1b[?25l\x1b"
                    "c"),
            "")
      << "a whole reset";
  EXPECT_EQ(undo_of("\x0e"
                    "x"
                    "\x0f"),
            "");
}

TEST(TerminalTrace, MarginsCharsetsKeysAndCursors) {
  EXPECT_EQ(undo_of("\x1b[2;5r"), "\x1b[r\x1b[999;1H");
  EXPECT_EQ(undo_of("\x1b[?6h"), "\x1b[?6l\x1b[999;1H");
  EXPECT_EQ(undo_of("\x1b(0"), "\x1b(B");
  EXPECT_EQ(undo_of("\x1b(0\x0f"), "\x1b(B");
  EXPECT_EQ(undo_of("\x1b(0x\x1b(B"), "");
  EXPECT_EQ(undo_of("\x1b)0"), "");
  EXPECT_EQ(undo_of("\x0e"), "\x0f");
  EXPECT_EQ(undo_of("\x1b[>1u\x1b[>4;2m\x1b[5 q"), "\x1b[=0u\x1b[>4m\x1b[0 q");
  EXPECT_EQ(undo_of("\x1b[?7l"), "\x1b[?7h");
}

TEST(TerminalTrace, ControlsOfUtf8AreControls) {
  EXPECT_EQ(undo_of("\xc2\x9b?1049h"), "\x1b[?1049l");
  EXPECT_EQ(undo_of("\xc2\x9d"
                    "0;title\x07\x1b[?1049h"),
            "\x1b[?1049l");
}

// What stands in a title is no control; one that is cut is ended.
TEST(TerminalTrace, StringsAndCutControls) {
  EXPECT_EQ(undo_of("\x1b]0;[?1049h\x07"), "");
  EXPECT_EQ(undo_of("\x1b]0;a"), "\x18");
  EXPECT_EQ(undo_of("\x1b]0;a\x1b\\"), "");
  EXPECT_EQ(undo_of("\x1b[?104"), "\x18");
  EXPECT_EQ(undo_of("\x1b[?104\x18"
                    "9h"),
            "");
}

TEST(TerminalTrace, HostileControlsAreBounded) {
  TerminalTrace trace;
  trace.see("\x1b[?1049");
  trace.see(std::string(1 << 20, ';'));
  trace.see("h");
  EXPECT_EQ(trace.undo(), "");
  trace.see("\x1b[?99999999999999999999; 25;25;-1l");
  EXPECT_EQ(trace.undo(), "\x1b[?25h");
}

}  // namespace
}  // namespace gpuvm::terminal_trace_test
