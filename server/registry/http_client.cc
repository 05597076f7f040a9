#include "server/registry/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/file_io.h"
#include "base/status/check.h"
#include "base/status/errno_status.h"

namespace berth::registry {
namespace {

constexpr size_t kMaxHeaderBytes = 64 * 1024;
constexpr size_t kMaxErrorBytes = 16 * 1024;
constexpr long kBufferBytes = 512 * 1024;
constexpr long kLowSpeedBytes = 1024;
constexpr char kSystemAuthorities[] = "/etc/ssl/certs/ca-certificates.crt";

// libcurl reads the lower-case names only; other programs of this trade read both.
const char* ProxyOf(absl::string_view url) {
  if (absl::StartsWith(url, "https:")) {
    return ::getenv("https_proxy") != nullptr ? nullptr : ::getenv("HTTPS_PROXY");
  }
  return ::getenv("http_proxy") != nullptr ? nullptr : ::getenv("HTTP_PROXY");
}

std::string NoProxy() {
  const char* own = ::getenv("no_proxy");
  if (own == nullptr) own = ::getenv("NO_PROXY");
  return absl::StrCat(own != nullptr ? own : "", ",localhost,127.0.0.1,::1");
}

struct SlistFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Slist = std::unique_ptr<curl_slist, SlistFree>;

Slist MakeHeaders(const HttpHeaders& headers) {
  curl_slist* list = nullptr;
  for (const HttpHeader& header : headers) {
    // libcurl sends a header without value only when it ends in a semicolon.
    const std::string line = header.value.empty() ? absl::StrCat(header.name, ";")
                                                  : absl::StrCat(header.name, ": ", header.value);
    list = curl_slist_append(list, line.c_str());
  }
  // Waiting for "100 Continue" costs a second where a proxy does not know it.
  return Slist(curl_slist_append(list, "Expect:"));
}

void SetBlob(CURL* handle, CURLoption option, const std::string& bytes) {
  curl_blob blob = {const_cast<char*>(bytes.data()), bytes.size(), CURL_BLOB_COPY};
  curl_easy_setopt(handle, option, &blob);
}

void SetTls(CURL* handle, const HttpConnection& connection) {
  const bool verify = connection.verify == HttpConnection::Verify::kYes;
  curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
  curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
  if (!connection.authorities.empty()) {
    // What is given as bytes replaces the system's authorities; it is to join them.
    const absl::StatusOr<std::string> system = ReadFile(kSystemAuthorities);
    SetBlob(handle, CURLOPT_CAINFO_BLOB,
            absl::StrCat(system.ok() ? *system : "", "\n", connection.authorities));
  }
  if (connection.certificate.empty()) return;
  SetBlob(handle, CURLOPT_SSLCERT_BLOB, connection.certificate);
  SetBlob(handle, CURLOPT_SSLKEY_BLOB,
          connection.key.empty() ? connection.certificate : connection.key);
}

}  // namespace

absl::string_view HttpResponse::Header(absl::string_view name) const {
  for (const HttpHeader& header : headers) {
    if (absl::EqualsIgnoreCase(header.name, name)) return header.value;
  }
  return {};
}

std::vector<absl::string_view> HttpResponse::AllOf(absl::string_view name) const {
  std::vector<absl::string_view> values;
  for (const HttpHeader& header : headers) {
    if (absl::EqualsIgnoreCase(header.name, name)) values.push_back(header.value);
  }
  return values;
}

// One request under way: what libcurl's callbacks work on.
struct HttpClient::Exchange {
  Exchange(const HttpRequest& request, const HttpObserver& observer,
           const std::atomic<bool>& cancelled)
      : request(request), observer(observer), cancelled(cancelled) {}

  static size_t OnHeader(char* data, size_t size, size_t count, void* self) {
    return static_cast<Exchange*>(self)->AddHeader(absl::string_view(data, size * count));
  }
  static size_t OnBody(char* data, size_t size, size_t count, void* self) {
    return static_cast<Exchange*>(self)->AddBody(absl::string_view(data, size * count));
  }
  static size_t OnRead(char* data, size_t size, size_t count, void* self) {
    return static_cast<Exchange*>(self)->GiveBody(data, size * count);
  }
  static int OnSeek(void* self, curl_off_t offset, int origin) {
    if (origin != SEEK_SET) return CURL_SEEKFUNC_FAIL;
    static_cast<Exchange*>(self)->sent = static_cast<uint64_t>(offset);
    return CURL_SEEKFUNC_OK;
  }
  static int OnProgress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Exchange*>(self)->cancelled.load(std::memory_order_relaxed) ? 1 : 0;
  }

  size_t AddHeader(absl::string_view line) {
    const size_t taken = line.size();
    header_bytes += taken;
    if (header_bytes > kMaxHeaderBytes) {
      status = absl::InvalidArgumentError("the answer has more than 64 KiB of headers");
      return 0;
    }
    line = absl::StripTrailingAsciiWhitespace(line);
    if (absl::StartsWith(line, "HTTP/")) {
      // A new answer: what came before was the proxy's, or an interim one.
      response = HttpResponse();
      told = false;
      const std::vector<absl::string_view> words = absl::StrSplit(line, absl::MaxSplits(' ', 2));
      if (words.size() < 2 || !absl::SimpleAtoi(words[1], &response.status)) response.status = 0;
      return taken;
    }
    const size_t colon = line.find(':');
    if (colon != absl::string_view::npos) {
      response.headers.push_back({std::string(line.substr(0, colon)),
                                  std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)))});
    }
    return taken;
  }

  // False when the caller does not want the body.
  bool TellHeaders() {
    if (told || !response.IsSuccess()) return true;
    told = true;
    status = observer.on_headers(response);
    return status.ok();
  }

  size_t AddBody(absl::string_view bytes) {
    if (cancelled.load(std::memory_order_relaxed)) return 0;
    if (!response.IsSuccess()) {
      const size_t room = kMaxErrorBytes - std::min(kMaxErrorBytes, response.error_body.size());
      response.error_body.append(bytes.data(), std::min(room, bytes.size()));
      // Enough was read to say what is wrong; an endless page of excuses is cut here.
      skipped += bytes.size();
      return skipped > 16 * kMaxErrorBytes ? 0 : bytes.size();
    }
    if (!TellHeaders()) return 0;
    status = observer.on_body(bytes);
    return status.ok() ? bytes.size() : 0;
  }

  size_t GiveBody(char* data, size_t room) {
    if (cancelled.load(std::memory_order_relaxed)) return CURL_READFUNC_ABORT;
    const uint64_t length = request.body_file >= 0 ? request.body_length : request.body.size();
    const size_t want = std::min<uint64_t>(room, length - std::min(sent, length));
    if (want == 0) return 0;
    size_t got = want;
    if (request.body_file < 0) {
      std::copy_n(request.body.data() + sent, want, data);
    } else {
      const ssize_t count =
          ::pread(request.body_file, data, want, static_cast<off_t>(request.body_offset + sent));
      if (count <= 0) {
        status = count < 0 ? ErrnoStatus(errno, "pread")
                           : absl::DataLossError("the file that is sent is shorter than its size");
        return CURL_READFUNC_ABORT;
      }
      got = static_cast<size_t>(count);
    }
    sent += got;
    observer.on_sent(sent);
    return got;
  }

  const HttpRequest& request;
  const HttpObserver& observer;
  const std::atomic<bool>& cancelled;
  HttpResponse response;
  absl::Status status;
  size_t header_bytes = 0;
  size_t skipped = 0;
  uint64_t sent = 0;
  bool told = false;
};

HttpClient::HttpClient() : handle_(curl_easy_init()) { BERTH_CHECK(handle_ != nullptr); }
HttpClient::~HttpClient() { curl_easy_cleanup(handle_); }

namespace {

absl::Status FailureOf(CURLcode code, const char* detail, const std::string& url) {
  const std::string text = detail[0] != '\0' ? detail : curl_easy_strerror(code);
  // No query: it may hold a signature that is as good as a password.
  const std::string what = absl::StrCat(url.substr(0, url.find('?')), ": ", text);
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return absl::FailedPreconditionError(absl::StrCat(
          what,
          "; the host's certificate is not trusted: give its authority as `ca` in hosts.toml"));
    case CURLE_SSL_CERTPROBLEM:
      return absl::FailedPreconditionError(
          absl::StrCat(what, "; the client certificate of hosts.toml cannot be used"));
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return absl::InvalidArgumentError(what);
    case CURLE_COULDNT_RESOLVE_HOST:
      return absl::UnavailableError(absl::StrCat(what, "; check the name and the DNS"));
    case CURLE_OPERATION_TIMEDOUT:
      return absl::UnavailableError(
          absl::StrCat(what, "; the host does not answer in time, or too slowly"));
    default:
      return absl::UnavailableError(what);
  }
}

}  // namespace

absl::StatusOr<HttpResponse> HttpClient::Do(const HttpRequest& request,
                                            const HttpConnection& connection,
                                            const HttpObserver& observer,
                                            const std::atomic<bool>& cancelled) {
  CURL* const handle = handle_;
  curl_easy_reset(handle);  // keeps the connections
  Exchange exchange(request, observer, cancelled);
  char detail[CURL_ERROR_SIZE] = "";
  const auto set = [handle](CURLoption option, auto value) {
    curl_easy_setopt(handle, option, value);
  };
  const Slist headers = MakeHeaders(request.headers);
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_USERAGENT, "berth/1.0");
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_ERRORBUFFER, detail);
  set(CURLOPT_BUFFERSIZE, kBufferBytes);
  set(CURLOPT_UPLOAD_BUFFERSIZE, kBufferBytes);
  set(CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(absl::ToInt64Milliseconds(connection.dial_timeout)));
  set(CURLOPT_LOW_SPEED_LIMIT, kLowSpeedBytes);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(absl::ToInt64Seconds(connection.stall_timeout)));
  if (request.timeout != absl::InfiniteDuration()) {
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(request.timeout)));
  }
  set(CURLOPT_HEADERFUNCTION, &Exchange::OnHeader);
  set(CURLOPT_HEADERDATA, &exchange);
  set(CURLOPT_WRITEFUNCTION, &Exchange::OnBody);
  set(CURLOPT_WRITEDATA, &exchange);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &Exchange::OnProgress);
  set(CURLOPT_XFERINFODATA, &exchange);
  const std::string no_proxy = NoProxy();
  set(CURLOPT_NOPROXY, no_proxy.c_str());
  if (const char* const proxy = ProxyOf(request.url); proxy != nullptr) set(CURLOPT_PROXY, proxy);
  SetTls(handle, connection);
  if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (request.method == "POST" || request.method == "PUT" || request.method == "PATCH") {
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    set(CURLOPT_READFUNCTION, &Exchange::OnRead);
    set(CURLOPT_READDATA, &exchange);
    set(CURLOPT_SEEKFUNCTION, &Exchange::OnSeek);
    set(CURLOPT_SEEKDATA, &exchange);
    set(CURLOPT_INFILESIZE_LARGE,
        static_cast<curl_off_t>(request.body_file >= 0 ? request.body_length
                                                       : request.body.size()));
  } else if (request.method != "GET") {
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }

  const CURLcode code = curl_easy_perform(handle);
  if (cancelled.load(std::memory_order_relaxed)) return absl::CancelledError("cancelled");
  if (!exchange.status.ok()) return exchange.status;
  const bool excused = code == CURLE_WRITE_ERROR && exchange.response.status >= 300;
  if (code != CURLE_OK && !excused) return FailureOf(code, detail, request.url);
  if (exchange.response.status == 0) {
    return absl::InvalidArgumentError(absl::StrCat(request.url, ": the answer is no HTTP"));
  }
  if (!exchange.TellHeaders()) return exchange.status;
  return std::move(exchange.response);
}

HttpPool::Lease HttpPool::Take() {
  MutexLock lock(&mutex_);
  if (idle_.empty()) return Lease(*this, std::make_unique<HttpClient>());
  std::unique_ptr<HttpClient> client = std::move(idle_.back());
  idle_.pop_back();
  return Lease(*this, std::move(client));
}

void HttpPool::GiveBack(std::unique_ptr<HttpClient> client) {
  MutexLock lock(&mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(client));
}

}  // namespace berth::registry
