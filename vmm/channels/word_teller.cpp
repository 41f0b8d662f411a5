// SPDX-License-Identifier: Apache-2.0
#include "vmm/channels/word_teller.hpp"

#include <algorithm>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

/// The guest's own text in the log: one line, printable, short.
std::string shown(std::string_view said) {
  constexpr std::size_t kMostShown = 40;
  std::string text(said.substr(0, kMostShown));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text + (said.size() > kMostShown ? "…" : "");
}

}  // namespace

void WordTeller::tell(const SaidWord& word, std::optional<Time> written) {
  auto& count = word.status ? exits_ : ready_;
  const std::uint64_t before = count.fetch_add(1, std::memory_order_relaxed);
  if (before >= kMostWords) {
    if (before == kMostWords) {
      log::warn("The guest repeats itself by its {}: no more of it is listened to", text_);
    }
    return;
  }
  if (word.status) {
    log::info("The guest says by its {}: exit status {}", text_, *word.status);
  } else {
    log::info("The guest says by its {}: ready", text_);
  }
  on_word_({.channel = channel_,
            .word = word.status ? "exit" : "ready",
            .status = word.status,
            .written = written});
}

void WordTeller::tell_line(std::string_view line, std::optional<Time> written) {
  if (const auto word = read_line_word(line)) {
    tell(*word, written);
  } else {
    complain(line);
  }
}

void WordTeller::complain(std::string_view said) {
  if (nonsense_.fetch_add(1, std::memory_order_relaxed) < kMostComplaints) {
    log::warn("What the guest says by its {} is no word, \"{}\": write an exit status or READY",
              text_, shown(said));
  }
}

void WordTeller::inspect(InspectNode& node) const {
  node.field("exit", exits_.load(std::memory_order_relaxed));
  node.field("ready", ready_.load(std::memory_order_relaxed));
  node.field("nonsense", nonsense_.load(std::memory_order_relaxed));
}

}  // namespace gpuvm
