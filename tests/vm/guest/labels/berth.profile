# For the label cases: all is allowed but writing below /secret, and for berth-exec writing below /tmp as well.
profile berth-test flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  signal,
  deny /secret/** w,
}
profile berth-exec flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  network,
  signal,
  deny /secret/** w,
  deny /tmp/** w,
}
