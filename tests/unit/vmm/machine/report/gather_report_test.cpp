// SPDX-License-Identifier: Apache-2.0
// A report of functions in a made-up sysfs: what is in it, that it survives its file, and what is
// not in it.
#include "vmm/machine/report/gather_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/machine/report/report_sysfs.hpp"
#include "vmm/machine/report/report_text.hpp"
#include "vmm/machine/report_file/read_report.hpp"
#include "vmm/machine/report_file/write_report.hpp"

namespace gpuvm::gather_report_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

CardReport through_file(const CardReport& report) {
  auto read = parse_report(to_json_text(report));
  EXPECT_TRUE(read) << read.error().to_string();
  return std::move(read).value();
}

TEST(GatherReport, HoldsWhatSysfsShows) {
  test::ReportSysfs sysfs;
  const auto report = through_file(sysfs.gather());
  EXPECT_EQ(report.gpuvm_version, "1.2.3");
  EXPECT_EQ(report.host.iommu, "intel");
  EXPECT_EQ(report.host.cpu_vendor, "GenuineIntel");
  EXPECT_EQ(report.host.cpu_model, "151");
  EXPECT_EQ(report.host.microcode, "0x2e");
  ASSERT_EQ(report.functions.size(), 2U);
  const FunctionRecord& gpu = report.functions[0];
  EXPECT_EQ(gpu.ids.subsystem_device, 0x85e7);
  EXPECT_EQ(gpu.ids.class_code, 0x030000U);
  EXPECT_EQ(gpu.driver, "nouveau");
  EXPECT_THAT(gpu.reset_methods, ElementsAre("bus"));
  EXPECT_FALSE(gpu.has_function_reset) << "the kernel resets no bus that two functions share";
  EXPECT_EQ(gpu.hot_reset.members.size(), 2U);
  EXPECT_EQ(gpu.power_state, "D3hot");
  EXPECT_EQ(gpu.numa_node, std::nullopt);
  EXPECT_EQ(gpu.iommu, "dmar0");
  EXPECT_EQ(gpu.link.width, 8U);
  EXPECT_EQ(gpu.link.max_speed, "8.0 GT/s PCIe");
  ASSERT_EQ(gpu.ports.size(), 1U);
  EXPECT_EQ(gpu.ports[0].address.to_string(), "0000:00:02.0");
  EXPECT_EQ(gpu.ports[0].link.max_width, 16U);
  ASSERT_TRUE(gpu.group);
  EXPECT_EQ(gpu.group->number, 7U);
  EXPECT_EQ(gpu.group->type, "DMA");
  EXPECT_THAT(gpu.group->reserved_regions, ElementsAre(HasSubstr("msi"), "0x0 0xfff direct"));
  EXPECT_EQ(gpu.group->members.at(0).driver, "nouveau");
  ASSERT_TRUE(gpu.bars);
  EXPECT_EQ(gpu.bars->at(1).size, 128U << 20);
  EXPECT_TRUE(gpu.bars->at(1).wide && gpu.bars->at(1).prefetchable);
  EXPECT_EQ(gpu.config.bytes.size(), 4096U);
  EXPECT_EQ(gpu.vfio.has_value(), false);
}

TEST(GatherReport, TouchesNothing) {
  test::ReportSysfs sysfs;
  sysfs.gather();
  EXPECT_THAT(sysfs.host.writes, IsEmpty());
}

TEST(GatherReport, HoldsNoSerialNumberAndNoName) {
  test::ReportSysfs sysfs;
  const auto report = sysfs.gather();
  const std::string text = to_json_text(report);
  EXPECT_THAT(text, AllOf(Not(HasSubstr("53 45 52 49 41 4c")), Not(HasSubstr("tower")),
                          HasSubstr("6.12.9-(hidden)"), HasSubstr("Device Serial Number")));
  EXPECT_THAT(report_text(report, report.decision), Not(HasSubstr("tower")));
}

TEST(GatherReport, IsTheSameTwiceAndAfterItsFile) {
  test::ReportSysfs sysfs;
  const std::string text = to_json_text(sysfs.gather());
  EXPECT_EQ(to_json_text(sysfs.gather()), text);
  EXPECT_EQ(to_json_text(through_file(sysfs.gather())), text);
}

TEST(GatherReport, DecidesAndSaysWhy) {
  test::ReportSysfs sysfs;
  const auto report = sysfs.gather();
  ASSERT_EQ(report.decision.functions.size(), 2U);
  EXPECT_EQ(report.decision.functions[0].policy, "NVIDIA Kepler to Pascal");
  EXPECT_THAT(
      report.decision.functions[0].shown,
      ElementsAre("Power Management (01) at 0x40", "Device Serial Number (extended 03) at 0x100"));
  ASSERT_EQ(report.decision.sets.size(), 1U);
  EXPECT_THAT(report.decision.sets[0].order, ElementsAre("hot reset"));
  EXPECT_THAT(report_text(report, report.decision),
              AllOf(HasSubstr("10de:128b"), HasSubstr("IOMMU group   7, with 0000:01:00.1 (none)"),
                    HasSubstr("Reset of 0000:01:00.0, 0000:01:00.1: hot reset\n"),
                    HasSubstr("Verdict: a reset is known, but not tested")));
}

TEST(GatherReport, SaysWhatTheKernelHides) {
  test::ReportSysfs sysfs;
  const std::string path = "/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0/config";
  const auto shown = sysfs.host.read_bytes(path, 64).value();
  sysfs.host.file(path, {reinterpret_cast<const char*>(shown.data()), shown.size()});
  const auto report = through_file(sysfs.gather());
  EXPECT_EQ(report.functions[0].config.bytes.size(), 64U);
  EXPECT_THAT(report.not_recorded,
              ElementsAre(AllOf(HasSubstr("0000:01:00.0"), HasSubstr("run gpuvm report as root"))));
}

TEST(GatherReport, FunctionThatFellOffTheBusIsReportedAsSuch) {
  test::ReportSysfs sysfs;
  sysfs.host.file("/sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0/config",
                  std::string(4096, '\xff'));
  auto report = through_file(sysfs.gather());
  EXPECT_THAT(report.decision.plan_error, HasSubstr("does not answer"));
  EXPECT_THAT(report_text(report, report.decision), HasSubstr("Verdict: not fit: "));
  report.decision.plan_error.clear();
  report.decision.functions.clear();
  report.decision.sets = {{.functions = "0000:01:00.0", .order = {"no reset"}}};
  EXPECT_THAT(report_text(report, report.decision), HasSubstr("nothing resets 0000:01:00.0"));
  report.decision.sets.clear();
  EXPECT_THAT(report_text(report, report.decision), HasSubstr("Verdict: none"));
}

TEST(GatherReport, BridgesAreRefused) {
  test::ReportSysfs sysfs;
  const auto report = gather_report(sysfs.host, {bdf_of("0000:00:02.0")}, PrivateText({}), "1.2.3");
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().to_string(), HasSubstr("is a PCI bridge"));
}

CardReport with_trial(test::ReportSysfs& sysfs, bool is_cleared) {
  CardReport report = sysfs.gather();
  TrialCycle cycle;
  cycle.number = 1;
  ResetCertificate certificate;
  certificate.functions = "0000:01:00.0, 0000:01:00.1";
  certificate.duration = std::chrono::milliseconds(116);
  certificate.text = "hot reset of a card";
  certificate.did_not_help = {ResetMethod::kFunctionReset};
  cycle.certificates.push_back(certificate);
  cycle.registers.push_back({"0000:01:00.1", "CORBLBASE", is_cleared});
  static constexpr RegisterCheck kCheck{.region = RegionIndex::kBar0,
                                        .offset = 0x10,
                                        .mask = 1,
                                        .value = 1,
                                        .must_equal = true,
                                        .meaning = "its id",
                                        .source = "here"};
  cycle.looks.push_back({.function = "0000:01:00.0",
                         .state = "10de 128b",
                         .command = 0x10,
                         .status = 0x20,
                         .registers = {{&kCheck, 0x1234}, {&kCheck, {}}},
                         .error = ""});
  report.trial = {.wanted = 1, .has_ended = true};
  report.trial->cycles.push_back(record_cycle(cycle, PrivateText({})));
  return through_file(report);
}

TEST(ReportOfATrial, HoldsEveryReset) {
  test::ReportSysfs sysfs;
  const auto report = with_trial(sysfs, true);
  const CycleRecord& cycle = report.trial->cycles.at(0);
  EXPECT_EQ(cycle.resets.at(0).duration_ms, 116U);
  EXPECT_EQ(cycle.resets.at(0).verdict, "verified");
  EXPECT_THAT(cycle.resets.at(0).did_not_help, ElementsAre("function reset"));
  EXPECT_EQ(cycle.looks.at(0).status, 0x20);
  EXPECT_EQ(cycle.looks.at(0).registers.at(0).value, 0x1234U);
  EXPECT_EQ(cycle.looks.at(0).registers.at(1).value, std::nullopt);
  EXPECT_EQ(report.trial->failures(), 0U);
  EXPECT_THAT(report_text(report, report.decision),
              AllOf(HasSubstr("hot reset, 1 times: 116 to 116 ms, median 116"),
                    HasSubstr("Verdict: fit: all resets of 1 cycles were verified")));
}

TEST(ReportOfATrial, RegisterThatAResetDidNotReachIsAFailure) {
  test::ReportSysfs sysfs;
  const auto report = with_trial(sysfs, false);
  EXPECT_EQ(report.trial->failures(), 1U);
  EXPECT_THAT(report_text(report, report.decision),
              AllOf(HasSubstr("did not reach CORBLBASE of 0000:01:00.1"),
                    HasSubstr("give it to no guest")));
}

TEST(ReportOfATrial, ThatNobodySawTheEndOfIsAFailure) {
  test::ReportSysfs sysfs;
  CardReport report = sysfs.gather();
  report.trial = {.wanted = 5};
  EXPECT_THAT(report_text(through_file(report), report.decision),
              AllOf(HasSubstr("0 of 5 cycles"), HasSubstr("did not live to see its end"),
                    HasSubstr("give it to no guest")));
}

TEST(ReportText, TellsWhatWasDecidedThen) {
  test::ReportSysfs sysfs;
  CardReport report = sysfs.gather();
  report.decision.functions[0].policy = "unknown device";
  report.decision.sets[0].order = {"function reset"};
  EXPECT_THAT(
      report_text(report, decide(report)),
      AllOf(HasSubstr("policy then   unknown device"), HasSubstr("then          function reset")));
}

TEST(LspciText, HasEveryLine) {
  test::ReportSysfs sysfs;
  const auto report = sysfs.gather();
  const auto text = lspci_text(report, true);
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_THAT(*text, AllOf(HasSubstr("0000:01:00.0 function\n00: de 10 8b 12"),
                           HasSubstr("\nff0: 00 00"), HasSubstr("\n0000:01:00.1 function\n")));
}

}  // namespace
}  // namespace gpuvm::gather_report_test
