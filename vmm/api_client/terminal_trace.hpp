// SPDX-License-Identifier: Apache-2.0
// TerminalTrace: what a guest has made of a terminal that shows its console, so that it can be
// undone when the terminal is the user's again: full-screen programs change modes and take them
// back at their end, which is not seen by who leaves before. Control functions of ECMA-48 and
// xterm's private modes (ctlseqs). Undone is what was seen, and no more: a sequence of general
// resets would clear the screen, or move the cursor of a terminal that nothing has happened to.
// Missing: sixel and colour palettes, titles, and what a terminal other than xterm and its kin has.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace gpuvm {

/// Not synchronised.
class TerminalTrace {
 public:
  /// What was written to the terminal, in any pieces.
  void see(std::string_view written);
  /// To be written to it; "" where nothing is to be undone.
  std::string undo() const;

 private:
  enum class State {
    kGround,
    kEscape,   ///< behind ESC
    kCharset,  ///< behind ESC ( and its kin, whose last byte follows
    kControl,  ///< behind CSI, until its last byte
    kString,   ///< of OSC, DCS and their kin, until ST or BEL
    kLeadC2,   ///< behind the first byte of a C1 control in UTF-8
  };
  struct Changes {
    std::array<bool, 24> modes = {};  ///< as kPrivateModes: not as they are at first
    bool attributes = false;
    bool charset = false;  ///< G0
    bool shifted = false;  ///< out, to G1
    bool keypad = false;
    bool insert = false;
    bool margins = false;
    bool cursor_style = false;
    bool keyboard_flags = false;  ///< kitty's protocol
    bool modified_keys = false;   ///< xterm's modifyOtherKeys
  };

  void see_byte(unsigned char byte);
  void begin(unsigned char c1);
  void end_escape(char last);
  void end_control(char last);
  void set_modes(bool on);

  State state_ = State::kGround;
  bool charset_counts_ = false;  ///< of G0
  std::string parameters_;       ///< of a control, what stands before its last byte
  Changes changes_;
};

}  // namespace gpuvm
