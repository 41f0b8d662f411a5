// SPDX-License-Identifier: Apache-2.0
// A made-up host with cards of two functions, for the tests of this folder. It sees the processes
// of the real one, because who has a file of /run/gpuvm open is asked of /proc.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <vector>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/cards/queue.hpp"
#include "vmm/config/config.hpp"

namespace gpuvm::cards_fixture {

inline const std::string kFirst = "0000:01:00.0";
inline const std::string kSecond = "0000:02:00.0";
inline const std::string kThird = "0000:03:00.0";

/// With the folder of its state, and without cards.
class CardHost : public FakeHost {
 public:
  CardHost() {
    directory("/run/gpuvm");
    link("/proc", "/proc");
    add_driver("vfio-pci");
  }
  /// A GPU with its sound, both with drivers of the host.
  void add_card(const std::string& bdf, unsigned group, const std::string& device = "0x2204") {
    add_device(bdf, "0x030000", group, "nouveau");
    file("/sys/bus/pci/devices/" + bdf + "/device", device + "\n");
    const std::string sound = bdf.substr(0, bdf.size() - 1) + "1";
    add_device(sound, "0x040300", group, "snd_hda_intel");
    file("/sys/bus/pci/devices/" + sound + "/device", "0x1aef\n");
  }
  /// Without the lock of the queue.
  std::vector<std::string> state() const {
    auto names = list("/run/gpuvm");
    std::erase(names, std::string(QueueLock::kName));
    return names;
  }
};

/// take_cards() leaves them blocked for a run, which does not come here.
inline void unblock_end_signals() {
  sigset_t set{};
  ::sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    ::sigaddset(&set, number);
  }
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

inline PciConfig wanting(const std::string& pattern) {
  PciConfig section;
  section.match = {CardPattern::parse(pattern).value()};
  return section;
}

inline PciConfig naming(const std::string& bdf) {
  PciConfig section;
  section.host = bdf_of(bdf);
  return section;
}

inline Config guest(const std::string& name, std::vector<PciConfig> sections) {
  Config config;
  config.name = name;
  config.pci = std::move(sections);
  for (std::size_t i = 0; i < config.pci.size(); ++i) {
    config.pci[i].place.text = "pci." + std::to_string(i) + " (guest.toml:3:1)";
  }
  return config;
}

}  // namespace gpuvm::cards_fixture
