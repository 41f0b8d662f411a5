// SPDX-License-Identifier: Apache-2.0
// gpuvm report: all that the developers need to know of a card, in one file; and what such a file
// says.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/machine/devices/device_repair.hpp"
#include "vmm/machine/devices/host_devices.hpp"
#include "vmm/machine/report/decide.hpp"
#include "vmm/machine/report/gather_report.hpp"
#include "vmm/machine/report/report_text.hpp"
#include "vmm/machine/report_file/read_report.hpp"
#include "vmm/machine/report_file/report_file.hpp"
#include "vmm/machine/report_file/write_report.hpp"

namespace gpuvm::cli {
namespace {

constexpr const char* kNotOpened =
    "what VFIO says of the functions, and how they are after resets: gpuvm report --cycles 10, "
    "which takes them from their drivers meanwhile";

/// What is asked for: the functions, and the file behind them.
struct ReportTask {
  std::vector<std::string> addresses;
  std::string file;
};

Result<ReportTask> task_of(const std::vector<std::string>& words) {
  if (!words.empty() && words.back().empty()) {
    return fail(ErrorKind::kUsage, "FILE is an empty name of a file");
  }
  if (words.empty() || Bdf::parse(words.back())) {
    return fail(ErrorKind::kUsage, "{} is required, for instance {}",
                words.empty() ? "BDF" : "FILE",
                words.empty() ? "gpuvm report 0000:01:00.0 card.json"
                              : fmt::format("gpuvm report {} card.json", words.back()));
  }
  if (words.size() == 1) {
    return fail(ErrorKind::kUsage, "BDF is required, for instance gpuvm report 0000:01:00.0 {}",
                words.back());
  }
  return ReportTask{.addresses = {words.begin(), words.end() - 1}, .file = words.back()};
}

Status check_limits(std::size_t functions, unsigned cycles) {
  if (functions > kMostReportFunctions) {
    return fail(ErrorKind::kUsage, "A report is of at most {} functions, and these are {}",
                kMostReportFunctions, functions);
  }
  if (functions * cycles > kMostReportResets) {
    return fail(ErrorKind::kUsage,
                "A report of {} functions has at most {} cycles; gpuvm test-reset does more",
                functions, kMostReportResets / functions);
  }
  return {};
}

/// A report that is made, and its file, which holds at any time what is known by then: a reset may
/// take the host with it.
class ReportRun {
 public:
  ReportRun(ReportFile file, PrivateText texts, CardReport report)
      : file_(std::move(file)), texts_(std::move(texts)), report_(std::move(report)) {}

  Status save() {
    report_.decision = decide(report_);
    return file_.save(to_json_text(report_));
  }
  /// The outcome of the test, once it is in the file.
  Status test(const HostSystem& host, const std::vector<Bdf>& functions, unsigned cycles);
  std::string text() const { return report_text(report_, report_.decision); }

 private:
  void note_opened(HostDevices& devices);

  ReportFile file_;
  const PrivateText texts_;
  CardReport report_;
};

void ReportRun::note_opened(HostDevices& devices) {
  for (PhysicalDevice* const device : devices.devices()) {
    for (FunctionRecord& function : report_.functions) {
      if (function.address.to_string() == device->name()) {
        record_opened(*device, devices.host(), texts_, function);
      }
    }
  }
}

Status ReportRun::test(const HostSystem& host, const std::vector<Bdf>& functions, unsigned cycles) {
  report_.trial.emplace().wanted = cycles;
  TRY(save());
  Status saved;
  const auto is_safe =
      run_reset_trial(host, functions, cycles, "gpuvm report",
                      {.on_open =
                           [&](HostDevices& devices) {
                             note_opened(devices);
                             saved = save();
                           },
                       .on_cycle =
                           [&](const TrialCycle& cycle) {
                             report_.trial->cycles.push_back(record_cycle(cycle, texts_));
                             if (saved) {
                               saved = save();
                             }
                           }});
  report_.trial->has_ended = true;
  report_.trial->error = is_safe ? "" : texts_.clean(is_safe.error().to_string());
  TRY(save());
  if (is_safe && !*is_safe) {
    return fail(ErrorKind::kUnsafeDevice,
                "A reset did not leave the devices well; give them to no guest");
  }
  return is_safe ? saved : Status(is_safe.error());
}

Result<int> make_report(const ReportArguments& arguments) {
  const auto task = TRY(task_of(arguments.words));
  const HostSystem host;
  const auto functions = TRY(slot_functions(host, TRY(parse_addresses(host, task.addresses))));
  TRY(check_limits(functions.size(), arguments.cycles));
  auto file = TRY(ReportFile::create(task.file));
  auto texts = PrivateText::of_this_host(host);
  auto report = TRY(gather_report(host, functions, texts, GPUVM_VERSION));
  if (arguments.cycles == 0) {
    report.not_recorded.emplace_back(kNotOpened);
  }
  ReportRun run(std::move(file), std::move(texts), std::move(report));
  TRY(run.save());
  const Status outcome =
      arguments.cycles == 0 ? Status() : run.test(host, functions, arguments.cycles);
  TRY(print(run.text() +
            fmt::format("\nThe report is in {}. Serial numbers, names of the host and of users are "
                        "not in it;\nlook through it before you send it.\n",
                        task.file)));
  TRY(Status(outcome));
  return 0;
}

Result<int> show_report(const ReportArguments& arguments) {
  if (!arguments.words.empty() || arguments.cycles != 0) {
    return fail(ErrorKind::kUsage, "--show takes a report alone, without BDF and --cycles");
  }
  const auto report = TRY(load_report(arguments.show));
  TRY(print(arguments.lspci.empty() ? report_text(report, decide(report))
                                    : TRY(lspci_text(report, arguments.lspci == "guest"))));
  return 0;
}

}  // namespace

Result<int> report_verb(const ReportArguments& arguments) {
  TRY(set_up_log(arguments.log));
  return arguments.show.empty() ? make_report(arguments) : show_report(arguments);
}

}  // namespace gpuvm::cli
