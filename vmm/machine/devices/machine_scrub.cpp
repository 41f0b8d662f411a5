// SPDX-License-Identifier: Apache-2.0
// MachineReset: what follows a reset that went well, before the next user gets the functions:
// memory of theirs is overwritten (devices/physical/scrub), as their configuration says, or that of
// a guest before them whose gpuvm was killed.
#include <algorithm>

#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/machine/devices/machine_reset.hpp"

namespace gpuvm {
namespace {

bool is_about(const ResetCertificate& certificate, std::string_view function) {
  return std::find(certificate.names.begin(), certificate.names.end(), function) !=
         certificate.names.end();
}

/// A card whose memory may hold what a guest left goes to nobody, however well its reset was.
void add_scrub(ResetCertificate& certificate, const ScrubReport& report) {
  const std::string text = report.to_text();
  certificate.scrub += (certificate.scrub.empty() ? "" : "; ") + text;
  certificate.text += "; " + text;
  if (!report.is_done()) {
    certificate.verdict = ResetVerdict::kFailed;
    certificate.is_scrub_at_fault = true;
    certificate.text += fmt::format(
        ". Its memory may hold what the last guest left: `gpuvm reset {}` tries again, `gpuvm "
        "unbind --force` gives it back as it is",
        report.function);
  }
}

}  // namespace

/// Before the guest has them: at the stop it would be too late to say that a BAR is no memory.
Status MachineReset::check_scrubs() const {
  for (const auto& function : devices_.functions()) {
    if (function->host().scrub && function->is_open()) {
      TRY(bars_to_scrub(function->device(), *function->host().scrub));
    }
  }
  return {};
}

/// Of the functions that these resets have made well. Where another process has their marks, it
/// does not believe us and does it anyway: twice may take half an hour. A server's function has no
/// mark, and is nobody else's.
std::vector<ScrubJob> MachineReset::scrub_jobs(
    ResetReason reason, std::span<const ResetCertificate> certificates) const {
  std::vector<ScrubJob> jobs;
  const bool has_keeper = devices_.claims().has_keeper();
  for (const auto& function : devices_.functions()) {
    if (has_keeper && !function->host().is_remote()) {
      continue;
    }
    auto choice = devices_.claims().owed_scrub(function->name());
    if (!choice && reason == ResetReason::kStop) {
      choice = function->host().scrub;
    }
    const bool is_well = std::any_of(
        certificates.begin(), certificates.end(), [&function](const ResetCertificate& certificate) {
          return certificate.is_safe() && is_about(certificate, function->name());
        });
    if (choice && is_well && function->is_open()) {
      jobs.push_back({.device = &function->device(), .choice = *std::move(choice)});
    }
  }
  return jobs;
}

Status MachineReset::scrub(ResetReason reason, std::vector<ResetCertificate>& certificates) {
  if (reason == ResetReason::kReboot) {
    return {};  // the same guest
  }
  ScrubWatch watch = ScrubWatch::real();
  watch.on_progress = [this](const ScrubProgress& progress) {
    log::info("Scrub of {}: {} of {} MiB", progress.function, progress.done >> 20,
              progress.all >> 20);
    if (on_scrub_) {
      on_scrub_(progress);
    }
  };
  WorstError errors;
  for (const ScrubReport& report : scrub_all(scrub_jobs(reason, certificates), watch)) {
    for (ResetCertificate& certificate : certificates) {
      if (is_about(certificate, report.function)) {
        add_scrub(certificate, report);
      }
    }
    if (report.is_done()) {
      log::info("{}", report.to_text());
      errors.add(devices_.claims().owe_scrub(report.function, std::nullopt));
    }
  }
  return errors.take();
}

/// From now on a crash leaves the functions with memory that the configuration wants overwritten.
/// What is owed of a guest before stays owed as it is.
Status MachineReset::owe_scrubs() {
  DeviceClaims& claims = devices_.claims();
  for (const auto& function : devices_.functions()) {
    if (function->host().scrub && !claims.owed_scrub(function->name())) {
      TRY(claims.owe_scrub(function->name(), function->host().scrub));
    }
  }
  return {};
}

bool MachineReset::is_scrub_owed() const {
  return std::any_of(devices_.functions().begin(), devices_.functions().end(),
                     [](const auto& function) { return function->host().scrub.has_value(); });
}

}  // namespace gpuvm
