// SPDX-License-Identifier: Apache-2.0
// JournalSocket: entries for systemd's journal with fields of their own
// (systemd.io/JOURNAL_NATIVE_PROTOCOL). Missing: entries that are larger than a datagram, which
// would go by a sealed file: their text is cut.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// A field of an entry. Its name has 1 to 64 characters out of A to Z, 0 to 9 and "_", and begins
/// with a letter; the value may be anything.
struct JournalField {
  std::string_view name;
  std::string_view value;
};

/// What a value is cut to, in bytes, so that an entry fits into a datagram.
inline constexpr std::size_t kLongestJournalValue = std::size_t{48} << 10;

/// Whether what is written to `fd` goes to the journal: `value`, that of the environment's
/// JOURNAL_STREAM ("device:inode", both decimal; systemd.exec(5)), names its file. False for null.
bool is_journal_stream(const char* value, int fd);

/// An entry as the protocol has it. Fields whose names it would not take are left out.
std::string journal_entry(std::span<const JournalField> fields);

class JournalSocket {
 public:
  /// Nothing: no socket can be had, or nobody listens there. systemd keeps the socket open while
  /// the journal is started anew. Connected once, since threads with a role (vmm/sandbox) may send
  /// to nobody else.
  static std::optional<JournalSocket> open(const std::string& path = "/run/systemd/journal/socket");
  /// One that is connected already.
  static JournalSocket of(UniqueFd fd) { return JournalSocket(std::move(fd)); }
  /// One that takes nothing.
  static JournalSocket unreachable() { return JournalSocket(UniqueFd()); }
  /// False: the journal does not take it now. Never waits. Any thread.
  bool send(std::string_view entry) const;

 private:
  explicit JournalSocket(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace gpuvm
