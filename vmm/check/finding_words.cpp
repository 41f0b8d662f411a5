// SPDX-License-Identifier: Apache-2.0
#include "vmm/check/finding_words.hpp"

#include <algorithm>
#include <array>

namespace gpuvm {
namespace {

bool has_first_boot(const Config& config) {
  return !config.credentials.empty() || config.cloud_init || config.ssh_key;
}

constexpr std::array kFindingWords = {
    FindingWords{"kvm", FindingAbout::kHost, "", "", ""},
    FindingWords{"iommu", FindingAbout::kHost, "", "", ""},
    FindingWords{"kernel", FindingAbout::kHost, "", "", ""},
    FindingWords{"memory_lock", FindingAbout::kHost, "", "", ""},
    FindingWords{"memory", FindingAbout::kGuest,
                 "the guest's memory fits into what the host has free",
                 "A guest that owns devices has all of its memory from the start",
                 "a smaller machine.memory; or free what the host has (`free -m`, `grep Huge "
                 "/proc/meminfo`)"},
    FindingWords{"names", FindingAbout::kGuest,
                 "processor features, CPUs and NUMA nodes that it names are there",
                 "A guest whose processor or places are others than it asks for is not started",
                 "correct the key; `lscpu` has the host's features, CPUs and nodes"},
    FindingWords{"control", FindingAbout::kGuest, "its control socket can be made, if it has one",
                 "gpuvm ps, stop and console find the guest by its control socket",
                 "correct [control], or socket = \"off\" there"},
    FindingWords{"disks", FindingAbout::kGuest,
                 "its disks, and the programs that serve them, are there",
                 "A guest starts with all of its disks",
                 "correct the [[disk]] that is named, or make its file",
                 [](const Config& config) { return !config.disks.empty(); }},
    FindingWords{"first_boot", FindingAbout::kGuest, "what it is told at its first boot is there",
                 "A guest without its keys and credentials is one that nobody gets into",
                 "correct the key that is named, or make its file", has_first_boot},
    FindingWords{"networks", FindingAbout::kGuest, "its networks can be made",
                 "A guest starts with all of its networks",
                 "correct the [[net]] that is named, or make what it asks for (`ip link` lists "
                 "what there is)",
                 [](const Config& config) { return !config.nets.empty(); }},
    FindingWords{"vsock", FindingAbout::kGuest, "its vsock can be made",
                 "gpuvm ssh and agents in the guest come by its vsock",
                 "`modprobe vhost_vsock`, or another cid in [vsock]; a guest without [vsock] needs "
                 "none",
                 [](const Config& config) { return config.vsock.has_value(); }},
    FindingWords{"shares", FindingAbout::kGuest,
                 "its shared folders, and virtiofsd for them, are there",
                 "A guest starts with all of its shared folders",
                 "make the folder that is named, or install virtiofsd (Debian, Fedora: the package "
                 "virtiofsd)",
                 [](const Config& config) { return !config.shares.empty(); }},
    FindingWords{"words", FindingAbout::kGuest,
                 "the file in which its test leaves a result can be made",
                 "What a test has to say by a file is lost where that cannot be made",
                 "another test.result_file, in a folder that is there and may be written",
                 [](const Config& config) { return config.test.result_file.has_value(); }},
    FindingWords{"boot_files", FindingAbout::kGuest, "kernel, initrd or firmware are there and fit",
                 "A guest boots from what [boot] names", "correct the key of [boot] that is named"},
    FindingWords{"cards", FindingAbout::kDevice, "",
                 "A section with match gets a card that is free and fits",
                 "free a card: end what has it, as is said of each; or gpuvm run --wait 30m"},
    FindingWords{"entries", FindingAbout::kDevice, "",
                 "Something in the [[pci]] entry does not fit",
                 "correct the entry: `gpuvm devices --gpu` prints one for each GPU of the host"},
    FindingWords{"server", FindingAbout::kGuest, "the socket of its server is there",
                 "A guest's device that another process serves is there only while that runs",
                 "start its server first, and name its socket"},
    FindingWords{
        "attachable", FindingAbout::kDevice, "it can come while the guest runs",
        "A guest starts where each card of machine.attachable is there, and gets one where "
        "nothing of the host is against it",
        "correct machine.attachable; what is against an attach must have ended by then"},
    FindingWords{"device", FindingAbout::kDevice,
                 "the host does not need it now: its driver can let go",
                 "A driver that is taken from under a disk, a network or a screen hangs the host",
                 "end the use that is named; or choose a device that the host does not need "
                 "(`gpuvm devices`)"},
    FindingWords{"group", FindingAbout::kDevice,
                 "the rest of its IOMMU group comes along or is harmless",
                 "What shares a group can reach each other's memory, so VFIO hands it out as a "
                 "whole",
                 "take the whole group, as `gpuvm devices --gpu` prints it; or put the card into "
                 "another slot"},
    FindingWords{"users", FindingAbout::kDevice, "nobody has its group open now",
                 "VFIO gives a group to one process at a time", "stop that guest first"},
    FindingWords{"opening", FindingAbout::kDevice,
                 "it may be opened: the kernel's reset methods are safe",
                 "The kernel resets a function when it is opened, before gpuvm can choose how",
                 "write the safe methods into the function's reset_method, as is said"},
    FindingWords{
        "reset", FindingAbout::kDevice, "there is a safe reset",
        "Without one the next guest gets what the last one has left",
        "another card or slot; or reset = \"none\" in its [[pci]] where each guest may see "
        "what the last one has left"},
};

}  // namespace

const FindingWords* find_finding_words(std::string_view check) {
  const auto found =
      std::find_if(kFindingWords.begin(), kFindingWords.end(),
                   [check](const FindingWords& words) { return words.check == check; });
  return found == kFindingWords.end() ? nullptr : &*found;
}

}  // namespace gpuvm
