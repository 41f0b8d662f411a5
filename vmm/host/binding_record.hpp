// SPDX-License-Identifier: Apache-2.0
// BindingRecord: what a function's driver and the sizes of its BARs were before gpuvm took it, kept
// in /run/gpuvm/<BDF>.binding so that it can be given back even after a crash. The file is locked
// while a gpuvm manages the function.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/bar_resize.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/state_file.hpp"

namespace gpuvm {

struct BindingRecord {
  std::string driver;           ///< driver to give the function back to; empty: it had none
  std::string driver_override;  ///< sysfs driver_override before; empty: none
  BarSizes bar_sizes = {};      ///< before, of those that were resized

  std::string to_text() const;
  /// Nothing if the text was cut short, so that a crash while writing reads as "nothing was
  /// changed".
  static std::optional<BindingRecord> parse(std::string_view text);
};

constexpr std::string_view kBindingSuffix = ".binding";

/// A locked state file. The file stays when the object goes, unless remove() was called.
class BindingFile {
 public:
  /// Creates (or finds) and locks it. Errors: kHost, also where another gpuvm holds it.
  static Result<BindingFile> claim(const HostSystem& host, const Bdf& bdf);
  /// One that another process of gpuvm has claimed, by hand_over(). Errors: kHost; also where it
  /// holds no record.
  static Result<BindingFile> adopt(const HostSystem& host, const Bdf& bdf, UniqueFd file);

  /// What an earlier run left; nothing in a new file.
  const std::optional<BindingRecord>& record() const { return record_; }
  /// Writes and syncs the record. Errors: kHost.
  Status save(const BindingRecord& record);
  void remove() { file_.remove(); }
  /// For adopt() elsewhere; nothing is to be called here afterwards.
  UniqueFd hand_over() { return file_.hand_over(); }

 private:
  explicit BindingFile(StateFile file) : file_(std::move(file)) {}

  StateFile file_;
  std::optional<BindingRecord> record_;
};

}  // namespace gpuvm
