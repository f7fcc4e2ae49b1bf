//! Client of the OpenStack services, with the calls that Capstan needs.
