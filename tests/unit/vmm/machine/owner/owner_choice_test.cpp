// SPDX-License-Identifier: Apache-2.0
// One process or two: a table of configurations, and why.
#include "vmm/machine/owner/owner_choice.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gpuvm::owner_choice_test {
namespace {

constexpr OwnerFacts kRoot{.is_root = true};
constexpr OwnerFacts kRootsJob{.is_root = true, .is_job = true};
constexpr OwnerFacts kUser{};
constexpr OwnerFacts kOldContainer{.is_root = true, .can_watch = false};

struct Row {
  OwnerPlace owner = OwnerPlace::kAuto;
  std::string has;  ///< words: card, match, socket, retries, ports, listed, off, log
  OwnerFacts facts = kRoot;
  OwnerPlace place = OwnerPlace::kInside;
  std::string reason;
};

bool says(const Row& row, const std::string& word) {
  return (" " + row.has + " ").find(" " + word + " ") != std::string::npos;
}

Config config_of(const Row& row) {
  Config config;
  config.sandbox.owner = row.owner;
  config.sandbox.mode = says(row, "off")   ? SandboxMode::kOff
                        : says(row, "log") ? SandboxMode::kLog
                                           : SandboxMode::kOn;
  config.test.retries = says(row, "retries") ? 1 : 0;
  if (says(row, "card") || says(row, "match")) {
    config.pci.emplace_back();
  }
  if (says(row, "match")) {
    config.pci.back().match.emplace_back();
  }
  if (says(row, "socket")) {
    config.pci.emplace_back().socket = "/run/card.sock";
  }
  config.machine.free_ports = says(row, "ports") ? 1 : 0;
  if (says(row, "listed")) {
    config.machine.attachable.emplace_back();
  }
  return config;
}

TEST(OwnerChoice, SaysWhichAndWhy) {
  constexpr auto kAuto = OwnerPlace::kAuto;
  constexpr auto kInside = OwnerPlace::kInside;
  constexpr auto kProcess = OwnerPlace::kProcess;
  const std::vector<Row> rows{
      {kAuto, "card", kRoot, kProcess, "it has cards of the host"},
      {kAuto, "match", kRoot, kProcess, "it has cards of the host"},
      {kAuto, "card socket", kRoot, kProcess, "it has cards of the host"},
      {kAuto, "card log", kRoot, kProcess, "it has cards of the host"},
      {kAuto, "card", kRootsJob, kProcess, "it has cards of the host"},
      {kAuto, "card retries", kRoot, kProcess, "it has cards of the host"},
      {kAuto, "card retries", kRootsJob, kInside, "a job that may be tried again (test.retries)"},
      {kAuto, "card", kUser, kInside, "not root"},
      {kAuto, "card", kOldContainer, kInside, "pidfd_open(2) does not work here"},
      {kProcess, "card", kOldContainer, kProcess, "sandbox.owner is \"process\""},
      {kAuto, "", kRoot, kInside, "no card of the host"},
      {kAuto, "socket", kRoot, kInside, "no card of the host"},
      {kAuto, "card off", kRoot, kInside, "sandbox.mode is \"off\""},
      {kAuto, "ports listed", kRoot, kProcess, "cards of the host may come"},
      {kAuto, "ports listed", kUser, kInside, "not root"},
      {kAuto, "ports listed off", kRoot, kInside, "sandbox.mode is \"off\""},
      {kAuto, "card ports", kRoot, kInside, "cards come that machine.attachable does not list"},
      {kInside, "card ports listed", kRoot, kInside, "sandbox.owner is \"inside\""},
      {kProcess, "", kRoot, kProcess, "sandbox.owner is \"process\""},
      {kProcess, "card off", kRoot, kProcess, "sandbox.owner is \"process\""},
      {kProcess, "card", kUser, kInside, "not root"},
      {kProcess, "card retries", kRootsJob, kInside,
       "a job that may be tried again (test.retries)"},
  };
  for (const Row& row : rows) {
    const auto choice = choose_owner(config_of(row), row.facts);
    EXPECT_EQ(choice.place, row.place) << row.has;
    EXPECT_EQ(choice.reason, row.reason) << row.has;
  }
}

}  // namespace
}  // namespace gpuvm::owner_choice_test
