// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/job_record.hpp"

#include <algorithm>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/job/result_json.hpp"
#include "vmm/job/share_copy.hpp"

namespace gpuvm {
namespace {

/// The configuration has been checked: one has the tag.
std::string path_of_share(const Config& config, const std::string& tag) {
  const auto share = std::find_if(config.shares.begin(), config.shares.end(),
                                  [&tag](const ShareConfig& each) { return each.tag == tag; });
  return share == config.shares.end() ? std::string() : share->path;
}

/// Some hundred thousand events: a guest may cause some of them without end.
constexpr std::uint64_t kMostOfEvents = std::uint64_t{64} << 20;

/// The folder with a share's files.
constexpr const char* kShareFolder = "share";

struct JobFile {
  const char* name;
  bool is_of_guest;  ///< there when a guest was started
};
constexpr JobFile kJobFiles[] = {
    {"console.log", true}, {"dmesg.log", true},     {"events.jsonl", true}, {"inspect.json", true},
    {"resets.json", true}, {"resolved.toml", true}, {"gpuvm.log", false},   {"result.json", false}};

/// Whether the test that ran last may not have come to its end.
bool is_cut_short(Outcome outcome) {
  return outcome != Outcome::kPassed && outcome != Outcome::kFailed;
}

void warn_unless(const Status& status) {
  if (!status) {
    log::warn("{}", status.error().to_string());
  }
}

}  // namespace

std::vector<std::string> artifact_names() {
  std::vector<std::string> names = {kShareFolder};
  for (const JobFile& file : kJobFiles) {
    names.emplace_back(file.name);
  }
  return names;
}

Status check_report_paths(const ArtifactFolder& folder, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (path.empty()) {
      continue;
    }
    if (const auto name = folder.name_in_here(path, artifact_names())) {
      return fail(
          ErrorKind::kUsage,
          "The report {} would be lost: {} is a name that --artifacts itself writes in that "
          "folder; choose another one{}",
          path, *name,
          *name == "result.json" ? ", or leave --result-json out: it has the same" : "");
    }
  }
  return {};
}

Result<std::unique_ptr<JobRecord>> JobRecord::open(const ArtifactFolder* artifacts,
                                                   const Config& config) {
  std::unique_ptr<JobRecord> record(new JobRecord(artifacts, config));
  if (artifacts != nullptr) {
    TRY(record->make_files());
  }
  return record;
}

Status JobRecord::make_files() {
  TRY(artifacts_->write("resolved.toml", to_toml(config_)));
  RecordFile::Options options;
  options.name = artifacts_->path_of("events.jsonl");
  options.most = kMostOfEvents;
  options.remark = [guest = config_.name](const std::string& text) {
    InspectNode node;
    node.field("time", time_text(std::chrono::system_clock::now()));
    node.field("guest", guest);
    node.field("event", "left_out");
    node.field("text", text);
    return node.to_json() + "\n";
  };
  auto file = TRY(artifacts_->create("events.jsonl"));
  events_ = TRY(RecordFile::start(std::move(file), std::move(options)));
  inspect_ = TRY(artifacts_->create("inspect.json"));
  console_ = TRY(ConsoleRecord::in(*artifacts_));
  TRY(artifacts_->create("resets.json"));
  if (!config_.test.artifact_share.empty()) {
    share_ = TRY(artifacts_->create_folder(kShareFolder));
    shared_ = TRY(open_share(path_of_share(config_, config_.test.artifact_share)));
  }
  return {};
}

void JobRecord::begin_attempt() {
  cases_ = ConsoleCases();
  attempt_began_ = std::chrono::system_clock::now();
}

void JobRecord::event(const GuestEvent& event) {
  if (events_) {
    events_->add(event_node(event).to_json() + "\n");
  }
}

void JobRecord::line(const ConsoleLine& line) {
  console_->line(line);
  cases_.add_line(
      line.text, std::chrono::duration_cast<std::chrono::milliseconds>(line.time - attempt_began_));
}

std::string JobRecord::inspect_path() const {
  return inspect_ ? path_of_open_file(inspect_.get()) : std::string();
}

void JobRecord::finish(JobReport& report) {
  console_->finish();
  if (events_) {
    events_->finish();
  }
  if (share_) {
    collect_share();
  }
  report.cases = cases_.finish(is_cut_short(report.verdict.outcome));
  report.console_tail = console_->tail();
  if (artifacts_ != nullptr) {
    warn_unless(artifacts_->write("resets.json", resets_json(report.resets)));
  }
}

void JobRecord::collect_share() const {
  const auto& tag = config_.test.artifact_share;
  const auto copied = copy_share(shared_.get(), share_.get());
  if (!copied) {
    log::warn("Files of the share {} are missing among the artifacts: {}", tag,
              copied.error().to_string());
  } else if (copied->left_out > 0) {
    log::warn("Files of the share {}: {}", tag, copied->to_string());
  } else {
    log::info("Files of the share {}: {}", tag, copied->to_string());
  }
}

void list_artifacts(const ArtifactFolder& folder, const Config& config, bool has_run,
                    JobReport& report) {
  for (const JobFile& file : kJobFiles) {
    if (has_run || !file.is_of_guest) {
      report.artifacts.push_back({file.name, folder.path_of(file.name)});
    }
  }
  if (has_run && !config.test.artifact_share.empty()) {
    report.artifacts.push_back({kShareFolder, folder.path_of(kShareFolder)});
  }
}

}  // namespace gpuvm
