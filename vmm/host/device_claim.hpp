// SPDX-License-Identifier: Apache-2.0
// DeviceClaim: one owner per function of the host, and whether the function is fit for the next
// one. Kept in /run/gpuvm/<BDF>.state, which is locked while the owner lives and stays behind where
// a function is dirty: a guest had it, and no verified reset has followed. Missing: without the
// right to write /run/gpuvm (no root, functions bound by the administrator) there is neither lock
// nor marker; VFIO still gives a group to one process only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/reset_history.hpp"
#include "vmm/host/state_file.hpp"

namespace gpuvm {

constexpr std::string_view kClaimSuffix = ".state";

/// What a dirty function has behind it.
enum class DirtCause {
  kUse,          ///< a guest had it: the next reset is likely to make it fit
  kFailedReset,  ///< a reset that did not make it fit
};

struct DeviceRecord {
  std::string owner;  ///< who has it: a guest's name, or a verb of gpuvm
  long pid = 0;
  std::string dirty;  ///< why it is not fit for anyone; empty: it is
  std::string
      looks;  ///< how it looked while it was well, in the words of who wrote it; may be empty
  DirtCause cause = DirtCause::kUse;  ///< of what is dirty
  /// What of it must be overwritten before the next user gets it, in the words of who wrote it;
  /// empty: nothing.
  std::string scrub = {};

  std::string to_text() const;
  /// Of any text: what is cut short is dirty, for an unknown reason; an empty one is clean.
  static DeviceRecord parse(std::string_view text);
};

/// What is on disk about a function, whoever holds it; nothing: no file.
std::optional<DeviceRecord> read_device_record(const HostSystem& host, const Bdf& bdf);
/// Every function with such a file, sorted.
std::vector<Bdf> recorded_devices(const HostSystem& host);
/// Who has the function now, without taking its lock: what the record says, where that process has
/// the file open. Nothing: nobody, or who cannot be seen (another user's process without root).
std::optional<DeviceRecord> current_owner(const HostSystem& host, const Bdf& bdf);

/// When it goes, the file of a clean function goes too; that of a dirty one stays.
class DeviceClaim {
 public:
  /// Errors: kHost; where another process has the function, with its name and number.
  static Result<DeviceClaim> take(const HostSystem& host, const Bdf& bdf, std::string_view owner);
  /// A claim of another process of gpuvm, by hand_over(): from now on it is this one's, with what
  /// it says. Without a descriptor it is one that has no file. Errors: kHost.
  static Result<DeviceClaim> adopt(const HostSystem& host, const Bdf& bdf, UniqueFd file);
  DeviceClaim(DeviceClaim&& other) noexcept;
  DeviceClaim& operator=(DeviceClaim&&) = delete;
  ~DeviceClaim();

  const Bdf& bdf() const { return bdf_; }
  /// What the owner before left.
  const DeviceRecord& left_behind() const { return left_behind_; }
  bool is_dirty() const { return !record_.dirty.empty(); }
  /// On disk when this returns. Errors: kHost.
  Status mark_dirty(std::string_view reason, std::string_view looks,
                    DirtCause cause = DirtCause::kUse);
  /// Nothing of it is owed any more.
  Status mark_clean();
  /// Its file, for adopt() in another process: what is marked here afterwards is written nowhere.
  /// Empty where it has none.
  UniqueFd hand_over();
  /// What must be overwritten before the next user gets it; empty: nothing, or it is done.
  const std::string& owed_scrub() const { return record_.scrub; }
  /// On disk when this returns. Errors: kHost.
  Status owe_scrub(std::string_view choice);
  /// What came of a reset, into the function's history (reset_history.hpp), which is opened at the
  /// first one. A claim without a file, or one that was handed over, keeps none. Errors: kHost; a
  /// history that could not be opened is not tried again.
  Status note_reset(ResetNote note);

 private:
  DeviceClaim(const Bdf& bdf, std::optional<StateFile> file) : bdf_(bdf), file_(std::move(file)) {}
  Status save();

  Bdf bdf_;
  std::optional<StateFile> file_;  ///< absent where the user may not write one, and after a move
  DeviceRecord left_behind_;
  DeviceRecord record_;
  std::string resets_folder_;  ///< empty: there is no history, or it is open
  std::optional<ResetHistoryFile> resets_;
};

}  // namespace gpuvm
