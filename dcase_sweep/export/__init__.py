"""Export of trained scene classifiers for devices: conversion, measurement with the device's runtime, comparison."""
