// SPDX-License-Identifier: Apache-2.0
// A line that a pool, one of its guests or who takes one hears from the other side, made of the
// input: read as each word that there is, and as an event. What must hold: what was read says the
// same when it is written and read again, numbers and addresses are such, an end.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "vmm/pool/event_reader.hpp"
#include "vmm/pool/pool_config.hpp"
#include "vmm/pool/pool_wire.hpp"

namespace gpuvm::pool {
namespace {

void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
  }
}

void read_as_request(std::string_view line) {
  if (const auto request = read_take_request(line)) {
    const auto again = read_take_request(to_line(*request));
    require(again && again->machine == request->machine, "a request");
    difference_of(request->machine, "cpus = 1\n");
  }
}

void read_as_answer(std::string_view line) {
  if (const auto guest = read_take_answer(line)) {
    require(guest->socket.starts_with('/') && !guest->name.empty(), "a guest that was taken");
    const auto again = read_take_answer(to_line(*guest));
    require(again && again->socket == guest->socket && again->pid == guest->pid, "an answer");
  }
}

void read_as_word(std::string_view line) {
  if (const auto word = read_lease_word(line)) {
    const auto again = read_lease_word(to_line(*word));
    require(again && again->kind == word->kind, "a word by the lease");
  }
  if (const auto word = read_member_word(line)) {
    require(word->result.exit_status >= 0 && word->result.exit_status <= 255, "an exit status");
    const auto again = read_member_word(to_line(*word));
    require(again && again->kind == word->kind, "a word of a guest");
    require(again->result.error.has_value() == word->result.error.has_value(), "its error");
  }
}

void read_as_event(std::string_view line) {
  GuestEvents events("fuzz");
  int heard = 0;
  events.add([&heard](const GuestEvent& event) {
    ++heard;
    require(!event_node(event).to_json().empty(), "an event");
  });
  const bool is_published = publish_line(line, {}, events);
  require(heard == (is_published ? 1 : 0), "one line is one event");
}

}  // namespace
}  // namespace gpuvm::pool

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  gpuvm::pool::read_as_request(line);
  gpuvm::pool::read_as_answer(line);
  gpuvm::pool::read_as_word(line);
  gpuvm::pool::read_as_event(line);
  return 0;
}
