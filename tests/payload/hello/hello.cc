// The program of the hello-world image that tools/demo and the tests make: it says that everything
// on its way worked.
#include <unistd.h>

#include <cstring>

int main() {
  static const char kText[] =
      "\nHello from Berth!\n"
      "This message shows that your installation works:\n"
      " 1. the client asked berthd for a container made of the hello-world image,\n"
      " 2. berthd laid a writable snapshot over the image's layer and started a shim,\n"
      " 3. the shim set up the container, ran this program in it and sent its output to you.\n\n"
      "Next, try an interactive one:  berth run -it busybox sh\n\n";
  const size_t length = std::strlen(kText);
  return ::write(STDOUT_FILENO, kText, length) == static_cast<ssize_t>(length) ? 0 : 1;
}
