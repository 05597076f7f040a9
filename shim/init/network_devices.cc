#include "shim/init/network_devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim/init/raw_open.h"

namespace berth::init {
namespace {

int OpenSocket(Reporter& report) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) report.Fail(errno, "open a netlink socket");
  // The kernel answers at once; this is for the day when it does not.
  const struct timeval patience = {10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  return fd;
}

// A request: a header, its fixed part and attributes.
class Request {
 public:
  template <typename Fixed>
  Request(uint16_t type, uint16_t flags, const Fixed& fixed) {
    struct nlmsghdr header = {};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    header.nlmsg_seq = 1;
    Append(&header, sizeof(header));
    Append(&fixed, sizeof(fixed));
  }
  void Attribute(uint16_t type, const void* data, size_t size) {
    struct rtattr head = {static_cast<uint16_t>(RTA_LENGTH(size)), type};
    Append(&head, sizeof(head));
    Append(data, size);
  }
  void Raw(const std::string& attributes) { Append(attributes.data(), attributes.size()); }
  // 0, or an errno.
  int Send(int socket) {
    auto* header = reinterpret_cast<struct nlmsghdr*>(&bytes_[0]);
    header->nlmsg_len = static_cast<uint32_t>(bytes_.size());
    return ::send(socket, bytes_.data(), bytes_.size(), 0) < 0 ? errno : 0;
  }

 private:
  void Append(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()), '\0');
  }
  std::string bytes_;
};

// Sends and waits for the kernel's word: 0, or an errno.
int Transact(int socket, Request& request) {
  if (const int error = request.Send(socket); error != 0) return error;
  alignas(struct nlmsghdr) char buffer[4096];
  const ssize_t size = ::recv(socket, buffer, sizeof(buffer), 0);
  if (size < static_cast<ssize_t>(sizeof(struct nlmsghdr))) return size < 0 ? errno : EBADMSG;
  const auto* header = reinterpret_cast<const struct nlmsghdr*>(buffer);
  if (header->nlmsg_type != NLMSG_ERROR) return EBADMSG;
  struct nlmsgerr answer;
  ::memcpy(&answer, NLMSG_DATA(header), sizeof(answer));
  return -answer.error;
}

bool IsWanted(const struct ifaddrmsg& address, int index, uint32_t flags) {
  return static_cast<int>(address.ifa_index) == index && address.ifa_scope == RT_SCOPE_UNIVERSE &&
         (flags & IFA_F_PERMANENT) != 0;
}

const char* Hint(int error) {
  switch (error) {
    case EEXIST:
      return ": the container's namespace has a device of this name already";
    case EINVAL:
      return ": this kind of device cannot change its namespace";
    default:
      return "";
  }
}

}  // namespace

NetworkDevices::NetworkDevices(Reporter& report, const spec::LaunchPlan& plan) : report_(report) {
  if (plan.net_devices.empty()) return;
  report_.Begin(Step::kNetwork);
  socket_ = OpenSocket(report_);
  for (const spec::NetDevice& wanted : plan.net_devices) {
    Device device;
    device.plan = &wanted;
    struct ifreq request = {};
    wanted.host_name.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
    if (::ioctl(socket_, SIOCGIFINDEX, &request) != 0) {
      report_.Fail(errno, "find network device", wanted.host_name);
    }
    device.index = request.ifr_ifindex;
    ReadAddresses(device);
    devices_.push_back(std::move(device));
  }
}

void NetworkDevices::ReadAddresses(Device& device) {
  struct ifaddrmsg all = {};
  Request request(RTM_GETADDR, NLM_F_DUMP, all);
  if (const int error = request.Send(socket_); error != 0) {
    report_.Fail(error, "ask for the addresses of", device.plan->host_name);
  }
  alignas(struct nlmsghdr) static char buffer[32768];
  while (true) {
    const ssize_t size = ::recv(socket_, buffer, sizeof(buffer), 0);
    if (size <= 0)
      report_.Fail(size < 0 ? errno : EPIPE, "read the addresses of", device.plan->host_name);
    auto left = static_cast<uint32_t>(size);
    for (auto* message = reinterpret_cast<struct nlmsghdr*>(buffer); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type == NLMSG_DONE) return;
      if (message->nlmsg_type != RTM_NEWADDR) continue;
      const auto* found = static_cast<const struct ifaddrmsg*>(NLMSG_DATA(message));
      uint32_t flags = found->ifa_flags;
      Address address;
      address.family = found->ifa_family;
      address.prefix_length = found->ifa_prefixlen;
      auto room = static_cast<uint32_t>(IFA_PAYLOAD(message));
      for (auto* at = IFA_RTA(found); RTA_OK(at, room); at = RTA_NEXT(at, room)) {
        if (at->rta_type == IFA_FLAGS) ::memcpy(&flags, RTA_DATA(at), sizeof(flags));
        if (at->rta_type != IFA_ADDRESS && at->rta_type != IFA_LOCAL &&
            at->rta_type != IFA_BROADCAST) {
          continue;
        }
        address.attributes.append(reinterpret_cast<const char*>(at), RTA_ALIGN(at->rta_len));
      }
      if (IsWanted(*found, device.index, flags)) device.addresses.push_back(std::move(address));
    }
  }
}

void NetworkDevices::MoveInto(const char* path) {
  if (devices_.empty()) return;
  report_.Begin(Step::kNetwork);
  const int target = RawOpen(path, O_RDONLY | O_CLOEXEC);
  if (target < 0) report_.Fail(errno, "open the network namespace", path);
  for (const Device& device : devices_) {
    struct ifinfomsg link = {};
    link.ifi_index = device.index;
    Request request(RTM_NEWLINK, NLM_F_ACK, link);
    const std::string& name = device.plan->container_name;
    request.Attribute(IFLA_NET_NS_FD, &target, sizeof(target));
    request.Attribute(IFLA_IFNAME, name.c_str(), name.size() + 1);
    if (const int error = Transact(socket_, request); error != 0) {
      report_.FailFormat(error,
                         "move network device \"%s\" into the container as \"%s\": %s (%s)%s",
                         device.plan->host_name.c_str(), name.c_str(), ::strerrordesc_np(error),
                         ::strerrorname_np(error), Hint(error));
    }
  }
  ::close(target);
}

void NetworkDevices::Configure() {
  if (devices_.empty()) return;
  report_.Begin(Step::kNetwork);
  ::close(socket_);
  socket_ = OpenSocket(report_);
  for (const Device& device : devices_) {
    const std::string& name = device.plan->container_name;
    struct ifreq lookup = {};
    name.copy(lookup.ifr_name, sizeof(lookup.ifr_name) - 1);
    if (::ioctl(socket_, SIOCGIFINDEX, &lookup) != 0) {
      report_.Fail(errno, "find the moved network device", name);
    }
    for (const Address& address : device.addresses) {
      struct ifaddrmsg head = {};
      head.ifa_family = address.family;
      head.ifa_prefixlen = address.prefix_length;
      head.ifa_index = static_cast<uint32_t>(lookup.ifr_ifindex);
      Request request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, head);
      request.Raw(address.attributes);
      if (const int error = Transact(socket_, request); error != 0) {
        report_.Fail(error, "set an address of network device", name);
      }
    }
    struct ifinfomsg link = {};
    link.ifi_index = lookup.ifr_ifindex;
    link.ifi_flags = IFF_UP;
    link.ifi_change = IFF_UP;
    Request request(RTM_NEWLINK, NLM_F_ACK, link);
    if (const int error = Transact(socket_, request); error != 0) {
      report_.Fail(error, "bring up network device", name);
    }
  }
  ::close(socket_);
  socket_ = -1;
}

}  // namespace berth::init
