// SPDX-License-Identifier: Apache-2.0
// What each verb of the command line does, once main.cpp has taken the command line apart.
// A verb returns the exit status; an Error's kind gives the exit status of a failure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/cards/take_cards.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/slot_cycle.hpp"
#include "vmm/machine/run/run.hpp"
#include "vmm/runner/gitlab_executor.hpp"

namespace gpuvm::cli {

/// Where messages go and how many.
struct LogArguments {
  int verbosity = 0;            ///< number of -v: 1 debug, 2 and more trace
  bool quiet = false;           ///< warnings and errors only
  std::string file;             ///< also written here; empty: nowhere
  std::string format = "text";  ///< of stderr, or "json"
};

struct RunArguments {
  std::string config_file;
  std::vector<std::string> overrides;  ///< as given to --set
  bool dry_run = false;
  std::optional<std::chrono::seconds> wait;  ///< for cards that others have
  std::string inspect_file;
  std::string event_file;
  std::string warm = {};  ///< a pool whose guest is taken; empty: the guest is booted
  LogArguments log;
};

struct PoolArguments {
  std::string config_file;
  std::vector<std::string> overrides;  ///< as given to --set
  std::string name;                    ///< empty: the configuration's
  unsigned size = 1;                   ///< guests that wait
  bool pin = false;                    ///< with their memory pinned
  LogArguments log;
};

struct TestArguments {
  std::string config_file;
  std::vector<std::string> overrides;             ///< as given to --set
  std::vector<std::string> command;               ///< empty: test.command
  std::string artifacts;                          ///< a folder; empty: none
  std::string result_json;                        ///< a file; empty: none
  std::string junit;                              ///< a file; empty: none
  std::optional<std::chrono::seconds> wait = {};  ///< for cards that others have
  bool skip_if_unavailable = false;               ///< exit status 77 where this host cannot run it
  std::string warm = {};                          ///< as RunArguments::warm
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

struct ConvertArguments {
  std::string file;    ///< "-": standard input
  std::string from;    ///< "libvirt" or "qemu"; empty: by its first character
  std::string output;  ///< a new file; empty: standard output
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

struct GitlabArguments {
  GitlabOptions options = {};  ///< program, version and state_folder may be left out
  std::string script = {};     ///< of the stage run
  std::string stage = {};
};

/// The stages of GitLab Runner's custom executor; with the exit status that the runner wants.
/// Errors only where that is not known: no stage of GitLab Runner.
Result<int> gitlab_config_verb(const GitlabArguments& arguments);
Result<int> gitlab_prepare_verb(const GitlabArguments& arguments);
Result<int> gitlab_run_verb(const GitlabArguments& arguments);
Result<int> gitlab_cleanup_verb(const GitlabArguments& arguments);
/// Which host is looked at: this one, where both are empty.
struct HostChoice {
  std::string sysfs;     ///< a folder with a copy of a sysfs
  std::string snapshot;  ///< a file that devices --save has made
};

struct DevicesArguments {
  HostChoice from;
  bool gpus = false;  ///< only groups with a GPU
  bool tree = false;
  bool json = false;
  std::string save;  ///< save the host in this new file instead
};

struct CheckArguments {
  HostChoice from;
  std::string config_file;  ///< empty: the host, and each of its GPUs
  std::vector<std::string> overrides;
  bool json = false;
};

/// Prints the images of an option ROM.
Result<int> rom_show_verb(const RomArguments& arguments);
/// Writes a function's option ROM to a file.
Result<int> rom_dump_verb(const RomArguments& arguments);
/// Writes a ROM file without what lies before its first image.
Result<int> rom_trim_verb(const RomArguments& arguments);

/// Runs the guest until it ends, or with dry_run says what would be run.
Result<int> run_verb(const RunArguments& arguments);
/// Runs the guest as a job: the exit status is what came of its test. An error is one of the job's
/// surroundings, and 122 for a runner whatever its kind is.
Result<int> test_verb(const TestArguments& arguments);
/// Keeps guests booted for `--warm`, until a signal ends it.
Result<int> pool_verb(const PoolArguments& arguments);
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
/// Prints a guest of another monitor as a configuration.
Result<int> convert_verb(const ConvertArguments& arguments);
/// Checks a configuration, and nothing of the host.
Result<int> validate_verb(const ValidateArguments& arguments);

/// Prints the host's PCI functions by IOMMU group, or saves them.
Result<int> devices_verb(const DevicesArguments& arguments);
/// Prints every precondition of guests, or of one guest, with its cure.
Result<int> check_verb(const CheckArguments& arguments);

/// Errors: kUsage for text that is no PCI address, kHost for a device that is not there.
Result<std::vector<Bdf>> parse_addresses(const HostSystem& host,
                                         const std::vector<std::string>& texts);
/// Resets, checks and gives back; prints what became of each function. `first` as for
/// repair_devices(). Errors: kUnsafeDevice where one is not well.
Status repair(const HostSystem& host, const std::vector<Bdf>& functions, const std::string& owner,
              std::optional<SlotMethod> first = {});
/// As take_cards(); the log tells how a wait goes on, and what is wrong with the configuration is
/// told before it.
Result<TakenCards> take_cards_and_tell(const HostSystem& host, const Config& config,
                                       std::optional<std::chrono::seconds> wait);
/// run_machine() for a guest that is taken from this pool and gets the configuration's cards. They
/// are waited for as take_cards() does, for `waited`.
struct WarmChoice {
  std::string pool;
  std::string command = {};  ///< empty: none
  std::optional<std::chrono::seconds> wait = {};
};
RunResult run_warm_with_cards(const WarmChoice& choice, const Config& config,
                              const RunOptions& options, std::chrono::milliseconds& waited);
/// Errors: kUsage when the log file cannot be opened.
Status set_up_log(const LogArguments& arguments);
/// Writes to standard output. Errors: kHost when it is closed or full.
Status print(const std::string& text);

}  // namespace gpuvm::cli
