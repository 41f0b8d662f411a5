// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/trap_notes.hpp"

#include <sys/mman.h>

#include <new>

namespace gpuvm::sandbox {
namespace {

/// Never 0.
std::uint64_t key_of(ThreadRole role, long number, std::uint64_t argument) {
  return (argument & 0xffff'ffff) << 24 | (static_cast<std::uint64_t>(number) & 0xffff) << 8 |
         (index_of(role) + 1);
}

}  // namespace

void TrapNotes::add_violation(ThreadRole role, const std::array<char, kThreadName>& thread,
                              long number, std::uint64_t argument, int error) {
  const std::uint32_t place = violations.fetch_add(1);
  if (place >= kViolations) {
    return;  // enough is known
  }
  ViolationNote& note = violation[place];
  note.role = static_cast<std::uint32_t>(role);
  note.number = number;
  note.argument = argument;
  note.error = error;
  note.thread = thread;
  note.is_whole.store(1, std::memory_order_release);
}

bool TrapNotes::add_unlisted(ThreadRole role, long number, std::uint64_t argument) {
  const std::uint64_t key = key_of(role, number, argument);
  for (UnlistedNote& note : unlisted) {
    std::uint64_t found = 0;
    if (note.key.compare_exchange_strong(found, key)) {
      note.role = static_cast<std::uint32_t>(role);
      note.number = number;
      note.argument = argument;
      note.count.fetch_add(1, std::memory_order_release);
      return true;
    }
    if (found == key) {
      note.count.fetch_add(1, std::memory_order_release);
      return false;
    }
  }
  unlisted_lost.fetch_add(1);
  return false;
}

TrapNotes* make_trap_notes() {
  void* const pages =
      ::mmap(nullptr, sizeof(TrapNotes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? nullptr : new (pages) TrapNotes();
}

}  // namespace gpuvm::sandbox
