// SPDX-License-Identifier: Apache-2.0
// What each verb of the command line does, once main.cpp has taken the command line apart.
// A verb returns the exit status; an Error's kind gives the exit status of a failure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/slot_cycle.hpp"

namespace gpuvm::cli {

/// Where messages go and how many.
struct LogArguments {
  int verbosity = 0;   ///< number of -v: 1 debug, 2 and more trace
  bool quiet = false;  ///< warnings and errors only
  std::string file;    ///< also written here; empty: nowhere
};

struct RunArguments {
  std::string config_file;
  std::vector<std::string> overrides;  ///< as given to --set
  bool dry_run = false;
  std::string inspect_file;
  std::string event_file;
  LogArguments log;
};

struct ResetArguments {
  std::vector<std::string> addresses;  ///< each stands for all functions of its slot
  std::string first;                   ///< "slot-power" or "rescan", before the reset; empty: none
  LogArguments log;
};

struct TestResetArguments {
  std::vector<std::string> addresses;  ///< as above
  unsigned cycles = 10;
  bool json = false;  ///< a JSON object per line, instead of a table
  LogArguments log;
};

struct ReportArguments {
  std::vector<std::string> words;  ///< addresses, each of a slot, and the file behind them
  unsigned cycles = 0;             ///< of a test of resets; 0: none
  std::string show;                ///< a report to be read instead
  std::string lspci;               ///< with show: "hardware" or "guest", or empty
  LogArguments log;
};

struct UnbindArguments {
  std::vector<std::string> addresses;  ///< empty: all that a dead gpuvm left
  bool force = false;                  ///< without repair where one is dirty
  LogArguments log;
};

struct DumpArguments {
  std::string config_file;
  std::vector<std::string> overrides;
};

struct InspectArguments {
  std::string config_file;
  std::vector<std::string> overrides;
  bool json = false;
};

struct ValidateArguments {
  std::string config_file;
  std::vector<std::string> overrides;
};

struct SshArguments {
  std::string guest;                 ///< "NAME" or "USER@NAME"
  std::vector<std::string> command;  ///< empty: a shell
  unsigned wait = 60;                ///< s, for the guest's sshd
  bool print = false;                ///< the command line of ssh, and run nothing
};

struct VsockConnectArguments {
  std::uint32_t cid = 0;
  std::uint32_t port = 0;
};

struct RomArguments {
  std::string source;  ///< a file or a PCI address
  std::string output;  ///< a file that does not exist yet
};

/// Prints the images of an option ROM.
Result<int> rom_show_verb(const RomArguments& arguments);
/// Writes a function's option ROM to a file.
Result<int> rom_dump_verb(const RomArguments& arguments);
/// Writes a ROM file without what lies before its first image.
Result<int> rom_trim_verb(const RomArguments& arguments);

/// Runs the guest until it ends, or with dry_run says what would be run.
Result<int> run_verb(const RunArguments& arguments);
/// Shows the machine that would run, and the resets of its devices.
Result<int> inspect_verb(const InspectArguments& arguments);
/// Resets and checks functions that no guest has.
Result<int> reset_verb(const ResetArguments& arguments);
/// The same again and again, as a test of the hardware.
Result<int> test_reset_verb(const TestResetArguments& arguments);
/// Writes what is known of a card to a new file, or shows such a file.
Result<int> report_verb(const ReportArguments& arguments);
/// Gives functions back to their host drivers after a crash, dirty ones after a repair.
Result<int> unbind_verb(const UnbindArguments& arguments);
/// Prints the device tree that the guest's EFI firmware would be given.
Result<int> dump_fdt_verb(const DumpArguments& arguments);
/// Becomes ssh in a running guest; returns only for what went wrong before.
Result<int> ssh_verb(const SshArguments& arguments);
/// Hands a connection to a guest's vsock to ssh, which has started this as its ProxyCommand.
Result<int> vsock_connect_verb(const VsockConnectArguments& arguments);
/// Checks a configuration, and nothing of the host.
Result<int> validate_verb(const ValidateArguments& arguments);

/// Errors: kUsage for text that is no PCI address, kHost for a device that is not there.
Result<std::vector<Bdf>> parse_addresses(const HostSystem& host,
                                         const std::vector<std::string>& texts);
/// Resets, checks and gives back; prints what became of each function. `first` as for
/// repair_devices(). Errors: kUnsafeDevice where one is not well.
Status repair(const HostSystem& host, const std::vector<Bdf>& functions, const std::string& owner,
              std::optional<SlotMethod> first = {});
/// Errors: kUsage when the log file cannot be opened.
Status set_up_log(const LogArguments& arguments);
/// Writes to standard output. Errors: kHost when it is closed or full.
Status print(const std::string& text);

}  // namespace gpuvm::cli
