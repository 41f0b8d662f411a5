// SPDX-License-Identifier: Apache-2.0
// VariableFile: the guest's UEFI variables between its runs, as one block (variable_store.hpp), in
// a file or, without one, in memory only. A damaged file is kept under another name, never
// overwritten. The file is locked: it is one guest's. Host code. Thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class VariableFile {
 public:
  /// `path` empty: variables last until the monitor ends. An absent file is made, as an empty
  /// store. A damaged one is renamed to PATH.damaged (or .damaged-2 …) with a warning. Errors:
  /// kConfig (it cannot be read or written, another guest has it, or the damaged one cannot be
  /// renamed).
  static Result<std::unique_ptr<VariableFile>> open(std::string path);

  /// What the guest starts with.
  std::vector<std::byte> block() const;
  /// Takes what the guest has now: checked, less volatile variables, written to a temporary file
  /// that then takes the file's place. Errors: kInternal (a malformed block), kHost (writing).
  Status save(std::span<const std::byte> block) GPUVM_EXCLUDES(mutex_);
  /// From now on `replace` puts a whole new file in the old one's place: this process has no right
  /// to, any more. Called with a lock held, under which save() waits.
  using Replace = std::function<Status(std::span<const std::byte>)>;
  void replace_by(Replace replace) GPUVM_EXCLUDES(mutex_);

 private:
  VariableFile(std::string path, std::vector<std::byte> block)
      : path_(std::move(path)), block_(std::move(block)) {}
  /// Reads the file, or makes it.
  Status load();
  Status replace(std::span<const std::byte> block, unsigned rename_flags) GPUVM_REQUIRES(mutex_);

  const std::string path_;
  mutable Mutex mutex_;
  UniqueFd fd_ GPUVM_GUARDED_BY(mutex_);  ///< holds the file's lock
  std::vector<std::byte> block_ GPUVM_GUARDED_BY(mutex_);
  Replace replace_by_ GPUVM_GUARDED_BY(mutex_);  ///< empty: this process does it
};

}  // namespace gpuvm
