"""Glucose."""

from __future__ import annotations

from catalogue.vital import Limits, Vital

VITALS = (
    Vital(
        code="41653-7",
        display="Glucose [Mass/volume] in Capillary blood by Glucometer",
        short="Gluc",
        unit="mg/dL",
        plausible=(10.0, 1000.0),
        mdc=160184,
        example=104.0,
        limits=Limits(
            low=70.0,
            high=250.0,
            critical_low=54.0,
            critical_high=400.0,
            hysteresis=5.0,
            source="ADA Standards of Care 2024, section 6: levels 1 (70) and 2 (54); 250 as in its ketone advice",
        ),
        source="gematik HDDT value set; ISO/IEEE 11073-10101",
    ),
    Vital(
        code="14743-9",
        display="Glucose [Moles/volume] in Capillary blood by Glucometer",
        short="GlucM",
        unit="mmol/L",
        plausible=(0.5, 56.0),
        example=5.8,
        limits=Limits(
            low=3.9,
            high=13.9,
            critical_low=3.0,
            critical_high=22.2,
            hysteresis=0.3,
            source="ADA Standards of Care 2024, section 6, in mmol/L",
        ),
        source="gematik HDDT value set",
    ),
    Vital(
        code="2339-0",
        display="Glucose [Mass/volume] in Blood",
        short="GlucB",
        unit="mg/dL",
        plausible=(10.0, 1000.0),
        example=101.0,
        source="gematik HDDT value set",
    ),
    Vital(
        code="15074-8",
        display="Glucose [Moles/volume] in Blood",
        short="GlucBM",
        unit="mmol/L",
        plausible=(0.5, 56.0),
        example=5.6,
        source="gematik HDDT value set",
    ),
    Vital(
        code="99504-3",
        display="Glucose [Mass/volume] in Interstitial fluid",
        short="CGM",
        unit="mg/dL",
        plausible=(20.0, 600.0),
        example=110.0,
        limits=Limits(
            low=70.0,
            high=250.0,
            critical_low=54.0,
            critical_high=400.0,
            hysteresis=5.0,
            persistence_seconds=900.0,
            source="ADA Standards of Care 2024, section 6; 15 min as its event definition for CGM",
        ),
        source="gematik HDDT value set",
    ),
    Vital(
        code="105272-9",
        display="Glucose [Moles/volume] in Interstitial fluid",
        short="CGMM",
        unit="mmol/L",
        plausible=(1.1, 33.3),
        example=6.1,
        source="gematik HDDT value set",
    ),
)
