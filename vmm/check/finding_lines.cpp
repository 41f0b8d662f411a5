// SPDX-License-Identifier: Apache-2.0
// What a preview finds, as lines of a check.
#include <algorithm>
#include <array>

#include "vmm/check/check.hpp"
#include "vmm/machine/preview/found_functions.hpp"
#include "vmm/machine/preview/preview.hpp"

namespace gpuvm {
namespace {

enum class FindingAbout {
  kHost,    ///< told by add_host_lines()
  kGuest,   ///< files of the configuration, programs and memory of this machine
  kDevice,  ///< of a saved host, too
};

struct FindingWords {
  std::string_view check;  ///< Finding::check
  FindingAbout about;
  std::string_view good;  ///< what is well where it passes
  std::string_view why;
};

constexpr std::array kFindingWords = {
    FindingWords{"kvm", FindingAbout::kHost, "", ""},
    FindingWords{"iommu", FindingAbout::kHost, "", ""},
    FindingWords{"kernel", FindingAbout::kHost, "", ""},
    FindingWords{"memory_lock", FindingAbout::kHost, "", ""},
    FindingWords{"memory", FindingAbout::kGuest,
                 "the guest's memory fits into what the host has free",
                 "A guest that owns devices has all of its memory from the start"},
    FindingWords{"names", FindingAbout::kGuest,
                 "processor features, CPUs and NUMA nodes that it names are there", ""},
    FindingWords{"control", FindingAbout::kGuest, "its control socket can be made, if it has one",
                 "gpuvm ps, stop and console find the guest by its control socket"},
    FindingWords{"disks", FindingAbout::kGuest,
                 "its disks, and the programs that serve them, are there", ""},
    FindingWords{"first_boot", FindingAbout::kGuest, "what it is told at its first boot is there",
                 ""},
    FindingWords{"networks", FindingAbout::kGuest, "its networks can be made", ""},
    FindingWords{"vsock", FindingAbout::kGuest, "its vsock, if it has one, can be made", ""},
    FindingWords{"shares", FindingAbout::kGuest,
                 "its shared folders, and virtiofsd for them, are there", ""},
    FindingWords{"boot_files", FindingAbout::kGuest, "kernel, initrd or firmware are there and fit",
                 ""},
    FindingWords{"entries", FindingAbout::kDevice, "",
                 "Something in the [[pci]] entry does not fit"},
    FindingWords{"server", FindingAbout::kGuest, "the socket of its server is there", ""},
    FindingWords{"device", FindingAbout::kDevice,
                 "the host does not need it now: its driver can let go",
                 "A driver that is taken from under a disk, a network or a screen hangs the host"},
    FindingWords{
        "group", FindingAbout::kDevice, "the rest of its IOMMU group comes along or is harmless",
        "What shares a group can reach each other's memory, so VFIO hands it out as a whole"},
    FindingWords{"users", FindingAbout::kDevice, "no other guest has its group", ""},
    FindingWords{"opening", FindingAbout::kDevice,
                 "it may be opened: the kernel's reset methods are safe",
                 "The kernel resets a function when it is opened, before gpuvm can choose how"},
    FindingWords{"reset", FindingAbout::kDevice, "there is a safe reset",
                 "Without one the next guest gets what the last one has left"},
};

const FindingWords* find_words(std::string_view check) {
  const auto found =
      std::find_if(kFindingWords.begin(), kFindingWords.end(),
                   [check](const FindingWords& words) { return words.check == check; });
  return found == kFindingWords.end() ? nullptr : &*found;
}

CheckLine line_of(const Finding& finding, const FindingWords* words) {
  CheckLine line;
  line.check = finding.check;
  line.of = finding.of;
  if (words != nullptr && words->about == FindingAbout::kGuest && finding.of.empty()) {
    line.of = "Guest";
  }
  // Of a set that is reset together: with the lines of its first function.
  line.of = line.of.substr(0, line.of.find(','));
  line.why = words == nullptr ? "" : words->why;
  if (finding.outcome) {
    line.text = words == nullptr ? "" : words->good;
    return line;
  }
  line.level = CheckLevel::kFail;
  line.text = finding.outcome.error().to_string();
  line.kind = finding.outcome.error().kind();
  return line;
}

}  // namespace

void add_finding_lines(const CheckSubject& subject, const Config& config, bool devices_only,
                       CheckLines& lines) {
  InspectNode unused("");
  auto findings = preview_machine(subject.host, config, unused);
  if (!findings) {
    const Finding failed{"devices", Status(std::move(findings).error()), ""};
    lines.push_back(line_of(failed, nullptr));
    return;
  }
  for (const Finding& finding : *findings) {
    const auto* const words = find_words(finding.check);
    // Without an IOMMU, what is said of groups is said of the host.
    const bool is_of_group = finding.check == "group" || finding.check == "users";
    if (is_of_group && !subject.map.has_iommu) {
      continue;
    }
    const auto about = words == nullptr ? FindingAbout::kGuest : words->about;
    if (about == FindingAbout::kDevice || (about == FindingAbout::kGuest && !devices_only)) {
      lines.push_back(line_of(finding, words));
    }
  }
}

}  // namespace gpuvm
