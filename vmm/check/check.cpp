// SPDX-License-Identifier: Apache-2.0
#include "vmm/check/check.hpp"

#include <algorithm>
#include <set>

#include "vmm/cards/take_cards.hpp"
#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm {
namespace {

/// The entries that a GPU's user would write.
Config config_for(const MapFunction& gpu) {
  Config config;
  config.name = "check";
  for (const SlotEntry& entry : gpu.outlook.entries) {
    PciConfig pci;
    pci.host = entry.host;
    pci.functions = entry.functions;
    config.pci.push_back(std::move(pci));
  }
  return config;
}

/// One for each card: functions that came along with another GPU are that one's.
std::vector<const MapFunction*> gpus_of(const HostMap& map) {
  std::vector<const MapFunction*> gpus;
  std::vector<Bdf> taken;
  for (const MapFunction& function : map.functions) {
    const bool is_taken = std::find(taken.begin(), taken.end(), function.address) != taken.end();
    if (!function.is_gpu() || function.outlook.entries.empty() || is_taken) {
      continue;
    }
    gpus.push_back(&function);
    const auto& takes = function.outlook.entries.front().takes;
    taken.insert(taken.end(), takes.begin(), takes.end());
  }
  return gpus;
}

/// Those of the host that the configuration takes; none for an entry with which something is wrong.
std::vector<Bdf> taken_by_config(const HostSystem& host, const Config& config) {
  std::vector<Bdf> taken;
  for (const PciConfig& entry : config.pci) {
    if (!entry.has_host()) {
      continue;
    }
    if (const auto functions = functions_of(host, entry)) {
      taken.insert(taken.end(), functions->begin(), functions->end());
    }
  }
  return taken;
}

/// A device's lines are together, whoever found them; the order within is kept.
void sort_by_subject(CheckLines& lines) {
  std::vector<std::string> order;
  for (const CheckLine& line : lines) {
    if (std::find(order.begin(), order.end(), line.of) == order.end()) {
      order.push_back(line.of);
    }
  }
  std::stable_sort(lines.begin(), lines.end(), [&](const CheckLine& a, const CheckLine& b) {
    return std::find(order.begin(), order.end(), a.of) <
           std::find(order.begin(), order.end(), b.of);
  });
}

/// Which card each section with match would get now. Returns the configuration with these.
Config add_card_lines(const CheckSubject& subject, const Config& config, CheckLines& lines) {
  InspectNode unused("");
  CardPreview cards = preview_cards(subject.host, config, unused);
  for (const CardOffer& offer : cards.offers) {
    if (offer.has_card) {
      CheckLine line = finding_line({"cards", Status(), "Guest"});
      line.text = fmt::format("{}: {}", offer.section, offer.text);
      lines.push_back(std::move(line));
    }
  }
  for (const Finding& finding : cards.findings) {
    lines.push_back(finding_line(finding));
  }
  return std::move(cards.config);
}

}  // namespace

CheckLines check_everything(const CheckSubject& subject) {
  CheckLines lines;
  add_host_lines(subject, lines);
  std::vector<Bdf> devices;
  if (subject.config != nullptr) {
    const Config config = add_card_lines(subject, *subject.config, lines);
    add_finding_lines(subject, config, !subject.is_here, lines);
    devices = taken_by_config(subject.host, config);
  } else {
    std::set<Bdf> judged;  // GPUs of one group come together
    for (const MapFunction* const gpu : gpus_of(subject.map)) {
      if (!judged.contains(gpu->address)) {
        add_finding_lines(subject, config_for(*gpu), true, lines);
      }
      for (const SlotEntry& entry : gpu->outlook.entries) {
        judged.insert(entry.takes.begin(), entry.takes.end());
      }
      devices.push_back(gpu->address);
    }
  }
  for (const Bdf& device : devices) {
    if (const MapFunction* const function = subject.map.find(device)) {
      add_device_lines(subject, *function, lines);
    }
  }
  sort_by_subject(lines);
  return lines;
}

}  // namespace gpuvm
