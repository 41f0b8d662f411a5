// SPDX-License-Identifier: Apache-2.0
// HostSystem: the host's /sys, /proc, /dev and /run below an injectable root, and the only
// ways in which this room changes the host: writing an attribute and loading a kernel module. Tests
// give it a directory with a made-up sysfs and override them; vmm/host_map has hosts that were
// saved.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

/// Stateless apart from its root; any thread.
class HostSystem {
 public:
  /// root: "" for the real host, else a directory that stands for "/".
  explicit HostSystem(std::string root = {}) : root_(std::move(root)) {}
  virtual ~HostSystem() = default;
  /// Another host, of which something was saved: what is wrong with it is wrong with its file.
  virtual bool is_saved() const { return false; }

  /// Where an absolute path ("/sys/…") lies below the root.
  std::string path(std::string_view absolute) const;
  virtual bool exists(std::string_view absolute) const;
  /// Text of an attribute, trailing white space removed. Errors: kHost.
  virtual Result<std::string> read(std::string_view absolute) const;
  /// Bytes of a binary attribute; fewer where it ends, or where the user may not see more. Errors:
  /// kHost.
  virtual Result<std::vector<std::byte>> read_bytes(std::string_view absolute,
                                                    std::size_t size) const;
  /// A number, decimal or "0x…"; nothing where it is absent or not a number.
  std::optional<std::uint64_t> read_number(std::string_view absolute) const;
  /// Sorted names in a directory; empty where it is absent.
  virtual std::vector<std::string> list(std::string_view absolute) const;
  /// The last part of what a symbolic link points to, for instance a driver's name.
  std::optional<std::string> link_name(std::string_view absolute) const;
  /// All that a symbolic link says.
  virtual std::optional<std::string> link_text(std::string_view absolute) const;

  /// One write(2) to an attribute. Errors: kHost with errno's text.
  virtual Status write(std::string_view absolute, std::string_view text) const;
  /// As write(), of an attribute behind which a driver works, whose write(2) may never come back:
  /// see patient_write.hpp. False: it has not come back within `limit`.
  virtual Result<bool> write_within(std::string_view absolute, std::string_view text,
                                    std::chrono::milliseconds limit) const;
  /// The same for callers who know what the attribute's errors mean: 0, or an errno value;
  /// ETIMEDOUT: it has not come back within kPatience, and may still be done at any time.
  virtual int try_write(std::string_view absolute, std::string_view text) const;
  /// Writes part of a binary attribute, such as a function's configuration space, behind which a
  /// function that is asleep may be woken. Errors: kHost, also where it has not come back within
  /// kPatience.
  virtual Status write_bytes(std::string_view absolute, std::uint64_t offset,
                             std::span<const std::byte> bytes) const;
  /// Runs modprobe and waits for it, at most kPatience. Errors: kHost.
  virtual Status load_module(const std::string& name) const;

  /// The kernel calls a task hung after 120 s; drivers take up to some ten seconds.
  static constexpr std::chrono::seconds kPatience{60};

 private:
  std::string root_;
};

}  // namespace gpuvm
