// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/api_server.hpp"

#include <map>
#include <set>
#include <utility>

#include "vmm/api/client_door.hpp"
#include "vmm/api/inspector.hpp"
#include "vmm/api/prometheus_text.hpp"
#include "vmm/api/router.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {

namespace {

/// For readers of streams after the guest's end.
constexpr std::chrono::milliseconds kFinishLimit{500};

constexpr std::string_view kEventLines = "application/x-ndjson";

std::string event_line(const GuestEvent& event) {
  return event_node(event).to_json() + "\n";
}

}  // namespace

/// All on the control thread, but for what the inspector's work does with its copies.
class ApiServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(boost::asio::io_context& control, GuestControl& guest, GuestSocketClaim claim,
       Options options)
      : control_(control),
        guest_(guest),
        options_(std::move(options)),
        serial_(std::make_shared<ConsoleHub>(control, options_.type_serial)),
        virtio_(std::make_shared<ConsoleHub>(control, options_.type_virtio)),
        tally_(std::chrono::system_clock::now()),
        path_(claim.path()),
        claim_(std::move(claim)) {}

  Status listen();
  void finish();

  const std::shared_ptr<ConsoleHub>& serial() const { return serial_; }
  const std::shared_ptr<ConsoleHub>& virtio() const { return virtio_; }
  const std::string& path() const { return path_; }
  std::size_t connections() const { return connections_.size(); }

 private:
  using Client = ApiConnection::Self;
  using Request = void (GuestControl::*)(GuestControl::Done);

  void add_client(UniqueFd fd, ClientDoor::Seat seat);
  void note_slow_reader();
  void handle(const Client& client, const ApiRequest& request);
  static Request request_of(ApiAction action);
  void look(const Client& client, ApiAction action);
  void answer_by_inspection(const Client& client, std::string_view content_type,
                            std::function<std::string(const InspectNode&)> make);
  void carry_out(const Client& client, Request request);
  static GuestControl::Done answer_for(const Client& client);
  void move_card(const Client& client, ApiAction action, std::string_view query);
  void stream_events(const Client& client, bool replays);
  void show_console(const Client& client, const ApiRequest& request);
  void forget(const Client& client);
  void hear(const GuestEvent& event);

  boost::asio::io_context& control_;
  GuestControl& guest_;
  const Options options_;
  const std::shared_ptr<ConsoleHub> serial_;
  const std::shared_ptr<ConsoleHub> virtio_;
  GuestTally tally_;
  EventRing events_;
  const std::string path_;
  std::optional<GuestSocketClaim> claim_;  ///< until finish()
  std::shared_ptr<ClientDoor> door_;       ///< from listen() on
  std::map<Client, ClientDoor::Seat> connections_;
  std::set<Client> event_readers_;
  struct Look {
    std::shared_ptr<ConsoleHub> hub;
    std::uint64_t number;
  };
  std::map<Client, Look> viewers_;
  std::uint64_t observer_ = 0;
  bool is_finished_ = false;
  log::RateLimit slow_readers_{1};  ///< of lines; clients come and go at will
  std::unique_ptr<Inspector> inspector_ = std::make_unique<Inspector>();
};

Status ApiServer::Impl::listen() {
  UniqueFd fd = TRY(claim_->listen(options_.group));
  door_ = std::make_shared<ClientDoor>(
      control_,
      ClientDoor::Options{
          .group = options_.group, .seats = options_.limits.seats, .who = options_.who},
      [weak = weak_from_this()](UniqueFd client, ClientDoor::Seat seat) {
        if (const auto self = weak.lock()) {
          self->add_client(std::move(client), seat);
        }
      });
  TRY(door_->open(std::move(fd), path_));
  observer_ = guest_.subscribe([weak = weak_from_this()](const GuestEvent& event) {
    if (const auto self = weak.lock()) {
      self->hear(event);
    }
  });
  return {};
}

void ApiServer::Impl::add_client(UniqueFd fd, ClientDoor::Seat seat) {
  const auto client = std::make_shared<ApiConnection>(
      control_, std::move(fd), options_.limits,
      ApiConnection::Handlers{
          .on_request =
              [weak = weak_from_this()](const Client& from, const ApiRequest& request) {
                if (const auto self = weak.lock()) {
                  self->handle(from, request);
                }
              },
          .on_close =
              [weak = weak_from_this()](const Client& from) {
                if (const auto self = weak.lock()) {
                  self->forget(from);
                }
              },
          .on_slow =
              [weak = weak_from_this()] {
                if (const auto self = weak.lock()) {
                  self->note_slow_reader();
                }
              }});
  if (client->is_closed()) {
    door_->leave(seat);
    return;
  }
  connections_.emplace(client, seat);
  client->start();
}

void ApiServer::Impl::note_slow_reader() {
  if (slow_readers_.allow()) {
    log::info("A client of the control socket reads too slowly, and misses some of its stream");
  }
}

void ApiServer::Impl::handle(const Client& client, const ApiRequest& request) {
  const RouteMatch match = match_route(request);
  if (match.route == nullptr) {
    client->respond(match.error);
    return;
  }
  const ApiAction action = match.route->action;
  if (const Request asked = request_of(action)) {
    return carry_out(client, asked);
  }
  if (action == ApiAction::kAttach || action == ApiAction::kDetach) {
    return move_card(client, action, request.query);
  }
  if (action == ApiAction::kEvents) {
    return stream_events(client, !request.query.empty());
  }
  if (action == ApiAction::kConsole) {
    return show_console(client, request);
  }
  if (action == ApiAction::kOpenApi) {
    return client->respond(
        {.status = 200, .content_type = std::string(kJson), .body = std::string(openapi_text())});
  }
  look(client, action);
}

/// What GuestControl has for it; null: it is no request.
ApiServer::Impl::Request ApiServer::Impl::request_of(ApiAction action) {
  switch (action) {
    case ApiAction::kPause:
      return &GuestControl::pause;
    case ApiAction::kResume:
      return &GuestControl::resume;
    case ApiAction::kReset:
      return &GuestControl::reboot;
    case ApiAction::kPowerButton:
      return &GuestControl::press_power_button;
    case ApiAction::kStop:
      return &GuestControl::stop;
    default:
      return nullptr;
  }
}

void ApiServer::Impl::look(const Client& client, ApiAction action) {
  if (action == ApiAction::kInspect) {
    return answer_by_inspection(
        client, kJson, [](const InspectNode& machine) { return machine.to_json() + "\n"; });
  }
  if (action == ApiAction::kVm) {
    return answer_by_inspection(
        client, kJson, [guest = options_.guest, tally = tally_](const InspectNode& machine) {
          return vm_document(guest, tally, machine);
        });
  }
  const ApiCounts counts{.connections = connections_.size(), .viewers = viewers_.size()};
  answer_by_inspection(
      client, PrometheusText::kContentType,
      [guest = options_.guest, tally = tally_, counts](const InspectNode& machine) {
        return metrics_text(guest, tally, counts, machine);
      });
}

/// The client waits, the control thread does not.
void ApiServer::Impl::answer_by_inspection(const Client& client, std::string_view content_type,
                                           std::function<std::string(const InspectNode&)> make) {
  inspector_->post([this, weak = std::weak_ptr(client), content_type, make = std::move(make)] {
    InspectNode machine("machine");
    guest_.inspect(machine);
    ApiResponse response{
        .status = 200, .content_type = std::string(content_type), .body = make(machine)};
    boost::asio::post(control_, [weak, response = std::move(response)] {
      if (const auto waiting = weak.lock()) {
        waiting->respond(response);
      }
    });
  });
}

void ApiServer::Impl::carry_out(const Client& client, Request request) {
  (guest_.*request)(answer_for(client));
}

/// The router has seen that the query is this one.
void ApiServer::Impl::move_card(const Client& client, ApiAction action, std::string_view query) {
  constexpr std::string_view kKey = "device=";
  if (query.empty()) {
    return client->respond(error_response(
        400, "?device= names the card: an address such as 0000:41:00.0, or a server's socket"));
  }
  std::string device(query.substr(kKey.size()));
  if (action == ApiAction::kAttach) {
    guest_.attach(std::move(device), answer_for(client));
  } else {
    guest_.detach(std::move(device), answer_for(client));
  }
}

GuestControl::Done ApiServer::Impl::answer_for(const Client& client) {
  return [weak = std::weak_ptr(client)](const Status& status) {
    const auto waiting = weak.lock();
    if (!waiting) {
      return;
    }
    if (status) {
      waiting->respond({.status = 204});
    } else {
      const int code = status.error().kind() == ErrorKind::kWrongState ? 409 : 500;
      waiting->respond(error_response(code, status.error().to_string()));
    }
  };
}

void ApiServer::Impl::stream_events(const Client& client, bool replays) {
  client->begin_stream(kEventLines);
  if (replays) {
    client->send_piece(events_.lines());
  }
  if (!client->is_closed()) {
    event_readers_.insert(client);
  }
}

void ApiServer::Impl::show_console(const Client& client, const ApiRequest& request) {
  if (!request.wants_console) {
    return client->respond(error_response(
        400, "/v1/console needs the headers Connection: Upgrade and Upgrade: gpuvm-console"));
  }
  const bool is_virtio = request.query == "virtio";
  if (is_virtio && !options_.type_virtio) {
    client->respond(error_response(404, "The guest has no virtio console (console.virtio)"));
    return;
  }
  const auto& hub = is_virtio ? virtio_ : serial_;
  client->begin_console([hub](std::span<const std::byte> bytes) { return hub->type(bytes); });
  const auto number =
      hub->attach({.output =
                       [weak = std::weak_ptr(client)](std::span<const std::byte> bytes) {
                         if (const auto viewer = weak.lock()) {
                           viewer->send(bytes);
                         }
                       },
                   .input_ready =
                       [weak = std::weak_ptr(client)] {
                         if (const auto viewer = weak.lock()) {
                           viewer->resume_input();
                         }
                       },
                   .missed =
                       [weak = std::weak_ptr(client)](std::uint64_t bytes) {
                         if (const auto viewer = weak.lock()) {
                           viewer->miss(bytes);
                         }
                       }});
  if (client->is_closed()) {
    hub->detach(number);
  } else {
    viewers_.emplace(client, Look{hub, number});
  }
}

void ApiServer::Impl::forget(const Client& client) {
  event_readers_.erase(client);
  if (const auto look = viewers_.find(client); look != viewers_.end()) {
    look->second.hub->detach(look->second.number);
    viewers_.erase(look);
  }
  if (const auto known = connections_.find(client); known != connections_.end()) {
    door_->leave(known->second);
    connections_.erase(known);
  }
}

void ApiServer::Impl::hear(const GuestEvent& event) {
  if (is_finished_) {
    return;
  }
  tally_.add(event);
  const std::string line = event_line(event);
  events_.add(line);
  const auto readers = event_readers_;  // one may be dropped
  for (const Client& reader : readers) {
    reader->send_piece(line);
  }
}

void ApiServer::Impl::finish() {
  if (std::exchange(is_finished_, true)) {
    return;
  }
  guest_.unsubscribe(observer_);
  if (door_) {
    door_->close();
  }
  inspector_.reset();
  claim_.reset();
  serial_->deliver();
  virtio_->deliver();
  const auto deadline = std::chrono::steady_clock::now() + kFinishLimit;
  const auto clients = connections_;
  for (const auto& [client, seat] : clients) {
    client->finish(deadline);
  }
}

Result<std::unique_ptr<ApiServer>> ApiServer::start(boost::asio::io_context& control,
                                                    GuestControl& guest, GuestSocketClaim claim,
                                                    Options options) {
  const auto impl = std::make_shared<Impl>(control, guest, std::move(claim), std::move(options));
  TRY(impl->listen());
  return std::unique_ptr<ApiServer>(new ApiServer(impl));
}

ApiServer::~ApiServer() {
  impl_->finish();
}

const std::shared_ptr<ConsoleHub>& ApiServer::serial() const {
  return impl_->serial();
}

const std::shared_ptr<ConsoleHub>& ApiServer::virtio() const {
  return impl_->virtio();
}

const std::string& ApiServer::path() const {
  return impl_->path();
}

std::size_t ApiServer::connections() const {
  return impl_->connections();
}

void ApiServer::finish() {
  impl_->finish();
}

}  // namespace gpuvm
