// Package page has a browser at the page: headless Chromium in a network namespace, through the TUN of a real daemon. It is a module
// of its own, so that ours needs nothing that drives browsers.
package page
