// Searches for a name as it is written in programs: sm.scan(...) is symad.scan, np.sum is symad.sum.
{
  const address = new URL(location);
  const words = address.searchParams.get("q");
  const names = words?.replace(/\b(?:sm|np|numpy|jnp)\.(?=\w)/g, "symad.").replace(/(\w)\([^)]*\)?/g, "$1");
  if (names !== words && names !== undefined) {
    address.searchParams.set("q", names);
    location.replace(address);
  }
}
