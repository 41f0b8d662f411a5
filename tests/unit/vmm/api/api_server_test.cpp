// SPDX-License-Identifier: Apache-2.0
// What the control socket answers, over a real socket.
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "tests/unit/vmm/api/api_fixture.hpp"
#include "vmm/api/guest_view.hpp"
#include "vmm/base/run_process.hpp"

namespace gpuvm::api_server_test {
namespace {

using test::ApiClient;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class ApiServerTest : public test::ApiTest {};

GuestEvent runs() {
  return {.what = StateChange{.from = LifecycleState::kResetting, .to = LifecycleState::kRunning}};
}

TEST_F(ApiServerTest, TellsWhatTheGuestIsAndDoes) {
  serve();
  control_.emit(runs());
  control_.emit({.what = VsockReady{.cid = 77}});
  const std::string answer = ask("GET", "/v1/vm");
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                            HasSubstr("Content-Type: application/json\r\n")));
  const auto vm = nlohmann::json::parse(body_of(answer));
  EXPECT_EQ(vm["name"], "main");
  EXPECT_EQ(vm["state"], "running");
  EXPECT_EQ(vm["pid"], ::getpid());
  EXPECT_EQ(vm["config"], "main.toml");
  EXPECT_EQ(vm["cpus"], 2);
  EXPECT_EQ(vm["memory_bytes"], 1 << 30);
  EXPECT_EQ(vm["lives"], 1);
  EXPECT_EQ(vm["cid"], 77);
  EXPECT_GE(vm["uptime_s"], 0);
  EXPECT_THAT(vm["since"].get<std::string>(), EndsWith("Z"));
  ASSERT_EQ(vm["devices"].size(), 1U);
  EXPECT_EQ(vm["devices"][0]["bdf"], "0000:01:00.0");
  EXPECT_EQ(vm["devices"][0]["driver"], "vfio-pci");
  EXPECT_EQ(vm["devices"][0]["port"], 2);
}

TEST_F(ApiServerTest, ShowsTheMachine) {
  serve();
  const auto tree = nlohmann::json::parse(body_of(ask("GET", "/v1/inspect")));
  EXPECT_EQ(tree["kvm"]["vcpu_0"]["port_exits"], 7);
}

TEST_F(ApiServerTest, CardsComeAndGo) {
  serve();
  for (const auto* const what : {"attach", "detach"}) {
    const std::string path = std::string("/v1/") + what;
    EXPECT_THAT(ask("PUT", path + "?device=0000:41:00.0"), StartsWith("HTTP/1.1 204 "));
    EXPECT_THAT(ask("PUT", path), AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("?device=")));
    EXPECT_THAT(ask("PUT", path + "?device="), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(ask("GET", path + "?device=a"), StartsWith("HTTP/1.1 405 "));
  }
  EXPECT_THAT(control_.asked(), ElementsAre("attach 0000:41:00.0", "detach 0000:41:00.0"));
  control_.answer_with(fail(ErrorKind::kWrongState, "No port is free"));
  EXPECT_THAT(ask("PUT", "/v1/attach?device=0000:41:00.0"),
              AllOf(StartsWith("HTTP/1.1 409 "), HasSubstr("No port is free")));
}

TEST(VmDocument, ShowsCardsThatCameLater) {
  InspectNode machine("machine");
  auto& slot = machine.child("hot_plug").child("port_3");
  slot.field("state", "in");
  auto& function = slot.child("functions").child("0000:41:00.0");
  function.field("port", std::uint64_t{3});
  function.field("function", std::uint64_t{0});
  machine.child("hot_plug").child("port_4").field("state", "empty");
  const auto vm =
      nlohmann::json::parse(vm_document({}, GuestTally(std::chrono::system_clock::now()), machine));
  ASSERT_EQ(vm["devices"].size(), 1U);
  EXPECT_EQ(vm["devices"][0]["bdf"], "0000:41:00.0");
  EXPECT_EQ(vm["devices"][0]["port"], 3);
}

TEST(VmDocument, NamesTheOwnerAndTheMonitor) {
  const auto document = [] {
    const GuestTally tally(std::chrono::system_clock::now());
    return nlohmann::json::parse(vm_document({}, tally, InspectNode("machine")));
  };
  EXPECT_FALSE(document().contains("monitor_pid"));
  set_run_process(4711);
  const auto owned = document();
  set_run_process(0);
  EXPECT_EQ(owned["pid"], 4711);
  EXPECT_EQ(owned["monitor_pid"], ::getpid());
}

TEST_F(ApiServerTest, HasItsOwnDescription) {
  serve();
  const auto file = nlohmann::json::parse(body_of(ask("GET", "/v1/openapi")));
  EXPECT_EQ(file["openapi"], "3.0.3");
}

TEST_F(ApiServerTest, HandsRequestsOn) {
  serve();
  for (const auto* const what : {"pause", "resume", "reset", "power-button", "stop"}) {
    EXPECT_THAT(ask("PUT", fmt::format("/v1/vm/{}", what)),
                AllOf(StartsWith("HTTP/1.1 204 No Content\r\n"), Not(HasSubstr("Content-Length"))));
  }
  EXPECT_THAT(control_.asked(), ElementsAre("pause", "resume", "reset", "power-button", "stop"));
}

TEST_F(ApiServerTest, TellsARequestThatDoesNotFitFromOneThatFails) {
  serve();
  control_.answer_with(fail(ErrorKind::kWrongState, "The guest is paused"));
  EXPECT_THAT(ask("PUT", "/v1/vm/pause"), AllOf(StartsWith("HTTP/1.1 409 Conflict\r\n"),
                                                HasSubstr(R"({"error":"The guest is paused"})")));
  control_.answer_with(fail(ErrorKind::kUnsafeDevice, "It did not come back"));
  EXPECT_THAT(ask("PUT", "/v1/vm/stop"), StartsWith("HTTP/1.1 500 "));
}

TEST_F(ApiServerTest, StreamsEventsFromNowOn) {
  serve();
  control_.emit(runs());
  ApiClient client(path());
  client.send("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.read_until("\r\n\r\n"),
              AllOf(HasSubstr("Content-Type: application/x-ndjson\r\n"),
                    HasSubstr("Transfer-Encoding: chunked\r\n")));
  control_.emit({.what = VsockReady{.cid = 5}});
  EXPECT_THAT(client.read_until("\"cid\":5}\n\r\n"), Not(HasSubstr("\"to\":\"running\"")));
  stop_server();
  EXPECT_THAT(client.read_all(), EndsWith("\r\n0\r\n\r\n"));
}

TEST_F(ApiServerTest, ReplaysEvents) {
  serve();
  control_.emit(runs());
  ApiClient client(path());
  client.send("GET /v1/events?replay=1 HTTP/1.0\r\n\r\n");
  // HTTP/1.0 knows no chunks.
  EXPECT_THAT(client.read_until("}\n"),
              AllOf(Not(HasSubstr("chunked")), HasSubstr("\r\n\r\n{\"time\":"),
                    HasSubstr(R"("event":"state","from":"resetting","to":"running")")));
}

TEST_F(ApiServerTest, AnswersSeveralRequestsOfAConnectionInTheirOrder) {
  serve();
  ApiClient client(path());
  std::string requests;
  for (int i = 0; i < 200; ++i) {
    requests +=
        i % 2 == 0 ? "GET /v1/inspect HTTP/1.1\r\n\r\n" : "PUT /v1/vm/pause HTTP/1.1\r\n\r\n";
  }
  requests += "GET /nothing HTTP/1.1\r\nConnection: close\r\n\r\n";
  client.send(requests);
  const std::string answers = client.read_all();
  std::vector<std::string> statuses;
  for (std::size_t at = 0; (at = answers.find("HTTP/1.1 ", at)) != std::string::npos; ++at) {
    statuses.push_back(answers.substr(at + 9, 3));
  }
  ASSERT_EQ(statuses.size(), 201U);
  EXPECT_EQ(statuses[0], "200");
  EXPECT_EQ(statuses[199], "204");
  EXPECT_EQ(statuses[200], "404");
  EXPECT_EQ(control_.asked().size(), 100U);
}

TEST_F(ApiServerTest, SaysWhatIsWrong) {
  serve();
  EXPECT_THAT(ask("GET", "/v2/vm"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("DELETE", "/v1/vm"),
              AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("\r\nAllow: GET\r\n")));
  EXPECT_THAT(ask("GET", "/v1/vm/stop"), HasSubstr("\r\nAllow: PUT\r\n"));
  EXPECT_THAT(ask("GET", "/v1/vm?x=1"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(ask("GET", "/v1/events?replay=2"), HasSubstr("replay=1"));
  EXPECT_THAT(ask("GET", "/v1/console"),
              AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("Upgrade: gpuvm-console")));
  EXPECT_THAT(control_.asked(), IsEmpty());
}

TEST_F(ApiServerTest, TheSocketIsItsUsersAlone) {
  serve();
  struct stat found {};
  ASSERT_EQ(::stat(path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0600U);
  stop_server();
  EXPECT_NE(::stat(path().c_str(), &found), 0);
}

TEST_F(ApiServerTest, AGroupMayUseItWhereThatIsWanted) {
  auto made = options();
  made.group = ::getegid();
  serve(std::move(made));
  struct stat found {};
  ASSERT_EQ(::stat(path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0660U);
  EXPECT_EQ(found.st_gid, ::getegid());
  EXPECT_THAT(ask("GET", "/v1/vm"), StartsWith("HTTP/1.1 200 "));
}

// A folder may have other rights than it should, and a descriptor can be handed on.
TEST_F(ApiServerTest, AStrangerIsRefusedEvenWhereTheFilesRightsLetHimIn) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can be somebody else";
  }
  serve();
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path().c_str(), 0666), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    const bool is_nobody = ::setgroups(0, nullptr) == 0 &&
                           ::setresgid(kNobody, kNobody, kNobody) == 0 &&
                           ::setresuid(kNobody, kNobody, kNobody) == 0;
    const std::string answer = ask("PUT", "/v1/vm/stop");
    ::_exit(is_nobody && answer.starts_with("HTTP/1.1 403 ") ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(control_.asked(), IsEmpty());
}

class ApiOpenTest : public ApiServerTest {
 protected:
  ControlConfig at(const std::string& where) const {
    ControlConfig config;
    config.socket = ControlConfig::Socket::kPath;
    config.path = where;
    return config;
  }
};

TEST_F(ApiOpenTest, OpensWhatTheConfigurationWants) {
  ControlConfig off;
  off.socket = ControlConfig::Socket::kOff;
  const auto none = ApiServer::open(context_, control_, off, options());
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, nullptr);
  const auto server = ApiServer::open(context_, control_, at(path()), options());
  ASSERT_TRUE(server);
  EXPECT_EQ((*server)->path(), path());
}

TEST_F(ApiOpenTest, RefusesAPathThatCannotBe) {
  const auto server =
      ApiServer::open(context_, control_, at(folder_ + "/no/such/x.sock"), options());
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().to_string(), HasSubstr("/no/such/x.sock"));
}

TEST_F(ApiOpenTest, RefusesTheNameOfAGuestThatRuns) {
  serve();
  const auto second = ApiServer::open(context_, control_, at(path()), options());
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().to_string(),
              AllOf(HasSubstr(path()), HasSubstr(std::to_string(::getpid()))));
  EXPECT_THAT(ask("GET", "/v1/vm"), StartsWith("HTTP/1.1 200 ")) << "the first one is served on";
}

TEST_F(ApiOpenTest, RefusesAGroupThatIsNot) {
  auto config = at(path());
  config.group = "no-such-group-here";
  const auto server = ApiServer::open(context_, control_, config, options());
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(server.error().to_string(), HasSubstr("no-such-group-here"));
}

// A gpuvm that was killed leaves its socket, and the next one takes the place.
TEST_F(ApiOpenTest, TakesThePlaceOfADeadSocket) {
  {
    UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path().data(), path().size());
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  serve();
  EXPECT_THAT(ask("GET", "/v1/vm"), StartsWith("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace gpuvm::api_server_test
