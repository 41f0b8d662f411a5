// SPDX-License-Identifier: Apache-2.0
#include "vmm/api_client/terminal_trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

namespace gpuvm {
namespace {

constexpr unsigned char kEsc = 0x1b;
constexpr unsigned char kBel = 0x07;
constexpr unsigned char kCancel = 0x18;
constexpr unsigned char kSubstitute = 0x1a;
constexpr unsigned char kShiftOut = 0x0e;
constexpr unsigned char kShiftIn = 0x0f;
constexpr std::size_t kMostParameters = 64;  ///< bytes; a longer control is none that counts

struct PrivateMode {
  unsigned number = 0;
  bool is_on_at_first = false;
};
/// In the order in which they are undone: the other screen last.
constexpr std::array kPrivateModes = {
    PrivateMode{2026, false},  // synchronised output
    PrivateMode{1, false},     // cursor keys of applications
    PrivateMode{5, false},     // reverse video
    PrivateMode{6, false},     // origin
    PrivateMode{66, false},    // keypad of applications
    PrivateMode{7, true},      // lines wrap
    PrivateMode{9, false},     // mouse, of X10
    PrivateMode{1000, false},  // mouse: buttons
    PrivateMode{1001, false},  // mouse: highlighting
    PrivateMode{1002, false},  // mouse: while a button is down
    PrivateMode{1003, false},  // mouse: all motion
    PrivateMode{1004, false},  // focus
    PrivateMode{1005, false},  // mouse: as UTF-8
    PrivateMode{1006, false},  // mouse: as SGR
    PrivateMode{1015, false},  // mouse: as urxvt
    PrivateMode{1016, false},  // mouse: in pixels
    PrivateMode{2004, false},  // bracketed paste
    PrivateMode{25, true},     // cursor is shown
    PrivateMode{47, false},    // other screen
    PrivateMode{1047, false},  // other screen
    PrivateMode{1049, false},  // other screen, with the cursor saved
};
constexpr std::size_t kOriginMode = 3;  ///< its place in the table
static_assert(kPrivateModes.at(kOriginMode).number == 6);

/// "1;25" in numbers; what is none is left out.
std::vector<unsigned> numbers_in(std::string_view text) {
  std::vector<unsigned> numbers;
  while (!text.empty()) {
    const auto end = std::min(text.find(';'), text.size());
    unsigned number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + end, number);
    if (error == std::errc() && rest == text.data() + end) {
      numbers.push_back(number);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return numbers;
}

}  // namespace

void TerminalTrace::see(std::string_view written) {
  for (const char c : written) {
    see_byte(static_cast<unsigned char>(c));
  }
}

void TerminalTrace::see_byte(unsigned char byte) {
  if (byte == kEsc) {  // begins anew wherever it stands; that of ST ends a string
    state_ = State::kEscape;
    return;
  }
  if (byte == kCancel || byte == kSubstitute) {
    state_ = State::kGround;
    return;
  }
  switch (state_) {
    case State::kGround:
      changes_.shifted = byte == kShiftOut || (changes_.shifted && byte != kShiftIn);
      state_ = byte == 0xc2 ? State::kLeadC2 : State::kGround;
      break;
    case State::kLeadC2:
      state_ = State::kGround;
      begin(byte);
      break;
    case State::kEscape:
      end_escape(static_cast<char>(byte));
      break;
    case State::kCharset:
      changes_.charset = charset_counts_ ? byte != 'B' : changes_.charset;
      state_ = State::kGround;
      break;
    case State::kControl:
      if (byte >= 0x40 && byte <= 0x7e) {
        state_ = State::kGround;
        end_control(static_cast<char>(byte));
      } else if (byte >= 0x20 && parameters_.size() <= kMostParameters) {
        parameters_ += static_cast<char>(byte);
      }
      break;
    case State::kString:
      state_ = byte == kBel ? State::kGround : State::kString;
      break;
  }
}

/// A control of the set C1, as UTF-8 has it.
void TerminalTrace::begin(unsigned char c1) {
  if (c1 == 0x9b) {
    parameters_.clear();
    state_ = State::kControl;
  } else if (c1 == 0x90 || c1 == 0x98 || (c1 >= 0x9d && c1 <= 0x9f)) {
    state_ = State::kString;
  }
}

void TerminalTrace::end_escape(char last) {
  state_ = State::kGround;
  switch (last) {
    case '[':
      begin(0x9b);
      break;
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
      state_ = State::kString;
      break;
    case '(':
    case ')':
    case '*':
    case '+':
      charset_counts_ = last == '(';
      state_ = State::kCharset;
      break;
    case '=':
    case '>':
      changes_.keypad = last == '=';
      break;
    case 'c':  // all is as at first
      changes_ = {};
      break;
    default:
      break;
  }
}

void TerminalTrace::end_control(char last) {
  if (parameters_.size() > kMostParameters) {
    return;
  }
  const char kind = parameters_.empty() ? '\0' : parameters_.front();
  switch (last) {
    case 'h':
    case 'l':
      set_modes(last == 'h');
      break;
    case 'm':
      (kind == '>' ? changes_.modified_keys : changes_.attributes) = true;
      break;
    case 'u':
      changes_.keyboard_flags = changes_.keyboard_flags || kind == '>' || kind == '=';
      break;
    case 'r':
      changes_.margins = kind == '?' ? changes_.margins : !parameters_.empty();
      break;
    case 'q':
      changes_.cursor_style = changes_.cursor_style || parameters_.ends_with(' ');
      break;
    default:
      break;
  }
}

void TerminalTrace::set_modes(bool on) {
  constexpr unsigned kInsertMode = 4;
  if (!parameters_.starts_with('?')) {
    for (const unsigned number : numbers_in(parameters_)) {
      changes_.insert = number == kInsertMode ? on : changes_.insert;
    }
    return;
  }
  for (const unsigned number : numbers_in(std::string_view(parameters_).substr(1))) {
    for (std::size_t i = 0; i < kPrivateModes.size(); ++i) {
      if (kPrivateModes.at(i).number == number) {
        changes_.modes.at(i) = on != kPrivateModes.at(i).is_on_at_first;
      }
    }
  }
}

std::string TerminalTrace::undo() const {
  static_assert(kPrivateModes.size() <= std::tuple_size_v<decltype(Changes::modes)>);
  std::string text;
  const auto add = [&text](bool is_changed, std::string_view sequence) {
    text += is_changed ? sequence : std::string_view();
  };
  add(state_ != State::kGround && state_ != State::kLeadC2, "\x18");
  add(changes_.keyboard_flags, "\x1b[=0u");
  add(changes_.modified_keys, "\x1b[>4m");
  add(changes_.keypad, "\x1b>");
  add(changes_.insert, "\x1b[4l");
  for (std::size_t i = 0; i < kPrivateModes.size(); ++i) {
    const PrivateMode& mode = kPrivateModes.at(i);
    if (changes_.modes.at(i)) {
      text += fmt::format("\x1b[?{}{}", mode.number, mode.is_on_at_first ? 'h' : 'l');
    }
  }
  add(changes_.margins, "\x1b[r");
  // Both have put the cursor into the first line.
  add(changes_.margins || changes_.modes.at(kOriginMode), "\x1b[999;1H");
  add(changes_.charset, "\x1b(B");
  add(changes_.shifted, "\x0f");
  add(changes_.cursor_style, "\x1b[0 q");
  add(changes_.attributes, "\x1b[m");
  return text;
}

}  // namespace gpuvm
