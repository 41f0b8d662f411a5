// SPDX-License-Identifier: Apache-2.0
// VariableFile: the guest's UEFI variables between its runs, as one block (variable_store.hpp), in
// a file or, without one, in memory only. A damaged file is kept under another name, never
// overwritten. The file is locked: it is one guest's. It is written when the guest changes a
// variable, by one thread, since a vCPU's has no right to; a guest that does so on and on gets what
// it wrote last onto the disk a few times in a second. Host code. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "vmm/base/mutex.hpp"
#include "vmm/base/output_file.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class VariableFile {
 public:
  /// How often the file is written: each time costs the host's disk a flush.
  struct Pace {
    unsigned burst = 64;                     ///< so many at once; installers write some dozens
    std::chrono::milliseconds between{250};  ///< from then on
  };
  /// `path` empty: variables last until the monitor ends. An absent file is made, as an empty
  /// store. A damaged one is renamed to PATH.damaged (or .damaged-2 …) with a warning. Errors:
  /// kConfig (it cannot be read or written, another guest has it, it is a link, or the damaged one
  /// cannot be renamed), kHost (no thread can be made).
  /// `begin_thread`: the first that the thread does which writes the file: it takes on the rights
  /// that this is to have; may be empty.
  static Result<std::unique_ptr<VariableFile>> open(std::string path, Pace pace,
                                                    std::function<void()> begin_thread = {});
  static Result<std::unique_ptr<VariableFile>> open(std::string path) {
    return open(std::move(path), {});
  }
  /// What is not on the disk yet reaches it.
  ~VariableFile();
  VariableFile(const VariableFile&) = delete;
  VariableFile& operator=(const VariableFile&) = delete;

  /// What the guest starts with.
  std::vector<std::byte> block() const;
  /// Takes what the guest has now: checked, less volatile variables, written to a temporary file
  /// that then takes the file's place; at once, for which the caller waits, or, after many, within
  /// Pace::between. Errors: kInternal (a malformed block, or the thread has failed), kHost (writing
  /// this one, or an earlier one later).
  Status save(std::span<const std::byte> block) GPUVM_EXCLUDES(mutex_);
  /// How often the file was written.
  std::uint64_t writes() const;
  /// From now on `replace` puts a whole new file in the old one's place: this process has no right
  /// to, any more. Called by the thread, with a lock held.
  using Replace = std::function<Status(std::span<const std::byte>)>;
  void replace_by(Replace replace) GPUVM_EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;
  /// One whose save() waits for it.
  struct Save {
    std::vector<std::byte> block;
    Status outcome = {};
    bool is_done = false;
  };

  VariableFile(std::string path, Pace pace, std::vector<std::byte> block)
      : path_(std::move(path)), pace_(pace), block_(std::move(block)) {}
  /// Reads the file, or makes it.
  Status load();
  Status start_writer(std::function<void()> begin_thread);
  void write_all() GPUVM_EXCLUDES(mutex_);
  void give_up() GPUVM_EXCLUDES(mutex_);
  void write_late() GPUVM_REQUIRES(mutex_);
  void write_awaited() GPUVM_REQUIRES(mutex_);
  Status write_block() GPUVM_REQUIRES(mutex_);
  Status replace(std::span<const std::byte> block, NewFile::Place how) GPUVM_REQUIRES(mutex_);
  Clock::time_point next_write() const GPUVM_REQUIRES(mutex_);

  const std::string path_;
  const Pace pace_;
  std::optional<OutputPlace> place_;  ///< of the path; set by load()
  mutable Mutex mutex_;
  Condition changed_;
  UniqueFd fd_ GPUVM_GUARDED_BY(mutex_);  ///< holds the file's lock
  std::vector<std::byte> block_ GPUVM_GUARDED_BY(mutex_);
  Save* awaited_ GPUVM_GUARDED_BY(mutex_) = nullptr;  ///< to be written at once; null: none
  bool is_late_ GPUVM_GUARDED_BY(mutex_) = false;     ///< block_ is not on the disk yet
  bool is_gone_ GPUVM_GUARDED_BY(mutex_) = false;     ///< the thread: it has failed
  bool is_ending_ GPUVM_GUARDED_BY(mutex_) = false;
  Status late_status_ GPUVM_GUARDED_BY(mutex_);  ///< of the last write that nobody waited for
  std::uint64_t writes_ GPUVM_GUARDED_BY(mutex_) = 0;
  /// When writes that are `between` apart would have come to where we are: the more it is ahead of
  /// now, the less is left of the burst.
  Clock::time_point pace_time_ GPUVM_GUARDED_BY(mutex_){};
  Replace replace_by_ GPUVM_GUARDED_BY(mutex_);  ///< empty: this process does it
  std::thread writer_;                           ///< last: it uses all of the above
};

}  // namespace gpuvm
