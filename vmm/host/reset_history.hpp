// SPDX-License-Identifier: Apache-2.0
// ResetHistory: what came of a card's resets since the host's start, for who watches many hosts:
// how often each method had which verdict, and the last certificates. Kept in
// /run/gpuvm-resets/<BDF> by who has claimed the card (device_claim.hpp) and so is the only one
// that resets it; readers take no lock. A card is named by the first of the functions that are
// reset together. Missing: resets that a guest asks for itself (they are among its own events), and
// those of hosts where this user may not write to /run.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

constexpr std::string_view kResetFolder = "/run/gpuvm-resets";

/// The certificate of one reset. Texts are the words of who reset; they have no line feeds, and are
/// cut after 1024 bytes when they are written.
struct ResetNote {
  std::uint64_t number = 0;  ///< of this card since the host's start, from 1
  std::chrono::system_clock::time_point time = {};
  std::chrono::milliseconds duration{0};
  std::string owner = {};         ///< "the guest main", "gpuvm reset"
  std::string reason = {};        ///< "start", "reboot", "stop", "repair"
  std::string method = {};        ///< of a failure: the last that was tried
  std::string usual = {};         ///< the method that comes first for this card; empty: none does
  std::string verdict = {};       ///< "verified", "failed", …
  std::string functions = {};     ///< "0000:01:00.0, 0000:01:00.1"
  std::string did_not_help = {};  ///< methods that were tried before, with ", " between
  std::string text = {};

  bool has_failed() const { return verdict == "failed"; }
  /// It came back, by a method that comes after the usual one.
  bool is_harder() const { return !has_failed() && !usual.empty() && method != usual; }
};

struct ResetTotal {
  std::string method = {};
  std::string verdict = {};
  std::uint64_t count = 0;
  std::chrono::milliseconds duration{0};  ///< of all of them
};

struct ResetHistory {
  static constexpr std::size_t kMostNotes = 8;
  static constexpr std::size_t kMostTotals = 32;

  std::uint64_t count = 0;
  std::uint64_t harder = 0;
  std::uint64_t failed = 0;
  std::vector<ResetTotal> totals = {};
  std::vector<ResetNote> notes = {};  ///< the last ones, the newest at the end

  /// Gives it the next number.
  void add(ResetNote note);
  /// At most 32 KiB.
  std::string to_text() const;
  /// Of any text. Nothing where it is cut short, as a reader sees it that comes between.
  static std::optional<ResetHistory> parse(std::string_view text);
};

/// Nothing: there is none that can be read now.
std::optional<ResetHistory> read_reset_history(const HostSystem& host, const Bdf& card);
/// Every card with a history, sorted; at most 4096.
std::vector<Bdf> cards_with_history(const HostSystem& host);

/// Open for who has claimed the card. One thread.
class ResetHistoryFile {
 public:
  /// Finds or makes the card's file in `folder`, which is kResetFolder below the host's root. One
  /// that says nothing useful starts anew. Errors: kHost.
  static Result<ResetHistoryFile> open(const std::string& folder, const Bdf& card);

  /// For readers when this returns; opens nothing. Errors: kHost.
  Status add(ResetNote note);

 private:
  ResetHistoryFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
};

}  // namespace gpuvm
