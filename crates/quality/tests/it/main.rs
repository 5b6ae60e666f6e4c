//! What every kind of rule asks, told through the public interface alone.

#[cfg(test)]
mod samples;

#[cfg(test)]
mod evaluation;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod suites;
#[cfg(test)]
mod vectors;
